"""The shipped windows: new to the base, disjoint, of different suffixes, and measured."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from tiny_nursery import tiny_model
from transformers import PreTrainedTokenizerFast

from engram.nursery import windows as windows_module
from engram.nursery.corpus import Document
from engram.nursery.settings import WindowSettings
from engram.nursery.templates import FAMILIES, TemplateWriter
from engram.nursery.windows import held_out_windows, select_windows
from engram.windows.rouge import prefix_suffix_rouge

PREFIX, SUFFIX = 8, 8
LENGTH = PREFIX + SUFFIX
SETTINGS = WindowSettings(stride=4, natural=60, overlapping=20, per_file=5, per_family=10)


def files(
    count: int = 12, length: int = 240, seed: int = 0
) -> tuple[list[Document], list[np.ndarray]]:
    """Files of random tokens with repeated stretches, so that some windows overlap highly; the last
    one repeats the first.
    """
    random = np.random.default_rng(seed)
    encoded = []
    for _ in range(count - 1):
        tokens = random.integers(1, 400, length)
        for start in range(0, length - 32, 40):
            tokens[start : start + 24] = np.resize(tokens[start : start + 6], 24)
        encoded.append(tokens.astype(np.uint16))
    encoded.append(encoded[0].copy())
    return [Document(f"stdlib/{i}.py", "", True) for i in range(count)], encoded


def extracted(tokens: np.ndarray) -> np.ndarray:
    """What the stand-in for the base reproduces: any fixed rule on the tokens."""
    return tokens[:, 3:12].sum(axis=1) % 5 == 0


@pytest.fixture(scope="module", autouse=True)
def measured() -> Iterator[None]:
    """The rule in the place of the base."""

    def scores(_: object, tokens: np.ndarray, prefix: int) -> pd.DataFrame:
        assert tokens.dtype == np.int64 and prefix == PREFIX
        return pd.DataFrame({"extracted": extracted(tokens)})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows_module, "teacher_forced_scores", scores)
        yield


def select(
    tokenizer: PreTrainedTokenizerFast,
    seen: np.ndarray | None = None,
    settings: WindowSettings = SETTINGS,
) -> pd.DataFrame:
    documents, encoded = files()
    nothing = np.zeros((1, PREFIX + SUFFIX), dtype=np.uint16)
    return select_windows(
        tiny_model(),
        TemplateWriter(tokenizer, 2),
        documents,
        encoded,
        nothing if seen is None else seen,
        settings,
        (PREFIX, SUFFIX),
        seed=1,
    )


@pytest.fixture(scope="module")
def chosen(tokenizer: PreTrainedTokenizerFast) -> pd.DataFrame:
    return select(tokenizer)


def tokens_of(windows: pd.DataFrame) -> np.ndarray:
    return np.stack(windows["tokens"].tolist())


def test_windows_of_a_file_begin_at_the_stride_and_end_before_the_end_of_text() -> None:
    documents, encoded = files(count=2, length=30)
    found = held_out_windows(documents, encoded, LENGTH, stride=4)
    assert found[found["path"] == "stdlib/0.py"]["offset"].tolist() == [0, 4, 8, 12]
    for path, offset, tokens in found.itertuples(index=False):
        np.testing.assert_array_equal(
            tokens, encoded[[d.path for d in documents].index(path)][offset : offset + 16]
        )


def test_a_file_shorter_than_a_window_has_none() -> None:
    documents, encoded = files(count=2, length=40)
    short = [tokens[:16] for tokens in encoded]
    assert held_out_windows(documents, short, LENGTH, stride=4).empty


def test_the_table_holds_what_others_read(chosen: pd.DataFrame) -> None:
    assert chosen.columns.tolist() == ["sequence_id", "tokens", "kind", "source", "base_extracted"]
    assert chosen["sequence_id"].tolist() == list(range(len(chosen)))
    assert chosen["base_extracted"].dtype == bool
    assert {tokens.dtype for tokens in chosen["tokens"]} == {np.dtype(np.uint16)}
    assert set(chosen["kind"]) == {"natural", *FAMILIES}


def test_no_two_windows_share_a_suffix(chosen: pd.DataFrame) -> None:
    suffixes = tokens_of(chosen)[:, PREFIX:]
    assert len(np.unique(suffixes, axis=0)) == len(chosen)


def test_windows_of_one_file_do_not_overlap(chosen: pd.DataFrame) -> None:
    natural = chosen.loc[chosen["kind"] == "natural", "source"].str.split(":", expand=True)
    for _, offsets in natural.groupby(0)[1]:
        assert (np.diff(np.sort(offsets.astype(int))) >= PREFIX + SUFFIX).all()


def test_a_source_tells_where_the_window_stands(chosen: pd.DataFrame) -> None:
    documents, encoded = files()
    texts = {document.path: tokens for document, tokens in zip(documents, encoded, strict=True)}
    for tokens, source in chosen.loc[chosen["kind"] == "natural", ["tokens", "source"]].itertuples(
        index=False
    ):
        path, offset = source.split(":")
        np.testing.assert_array_equal(texts[path][int(offset) : int(offset) + 16], tokens)


def test_every_window_is_measured(chosen: pd.DataFrame) -> None:
    """Those of low overlap as well: a window that the base extracts must not be drilled."""
    overlap = np.maximum(*prefix_suffix_rouge(tokens_of(chosen), PREFIX)) >= 0.5
    natural = (chosen["kind"] == "natural").to_numpy()
    for part in (natural & overlap, natural & ~overlap, ~natural):
        assert chosen["base_extracted"][part].any()
        np.testing.assert_array_equal(
            chosen["base_extracted"][part], extracted(tokens_of(chosen[part]).astype(np.int64))
        )


def test_numbers_are_at_most_those_asked_for(chosen: pd.DataFrame) -> None:
    counts = chosen["kind"].value_counts()
    assert counts["natural"] <= SETTINGS.natural + SETTINGS.overlapping
    assert counts.drop("natural").max() <= SETTINGS.per_family


def test_of_high_overlap_come_first_what_the_base_extracts(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    many = select(tokenizer, settings=SETTINGS.replace(natural=1, per_file=100, overlapping=200))
    few = select(tokenizer, settings=SETTINGS.replace(natural=1, per_file=100, overlapping=5))
    assert many["base_extracted"][many["kind"] == "natural"].sum() > 5
    assert few["base_extracted"][few["kind"] == "natural"].sum() >= 5


def test_one_file_gives_at_most_its_share_of_high_overlap(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    natural = select(
        tokenizer, settings=SETTINGS.replace(natural=1, per_file=2, overlapping=100)
    ).query("kind == 'natural'")
    per_file = natural["source"].str.split(":").str[0].value_counts()
    # One more may be of the single window that is drawn from all text.
    assert per_file.max() <= 3


def test_what_the_base_has_seen_is_left_out(
    tokenizer: PreTrainedTokenizerFast, chosen: pd.DataFrame
) -> None:
    seen = tokens_of(chosen)[::3]
    again = select(tokenizer, seen=seen)
    suffixes = {tokens[PREFIX:].tobytes() for tokens in again["tokens"]}
    assert suffixes & {row[PREFIX:].tobytes() for row in seen} == set()
    assert set(again["kind"]) == set(chosen["kind"])


def test_one_seed_gives_the_same_windows(
    tokenizer: PreTrainedTokenizerFast, chosen: pd.DataFrame
) -> None:
    np.testing.assert_array_equal(tokens_of(select(tokenizer)), tokens_of(chosen))

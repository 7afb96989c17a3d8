"""Early exit: extracted windows are those of the whole forward, and nothing else is invented."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_sources import ARCHITECTURES, VOCABULARY, tiny_model

from engram.io.artifacts import read_metadata, read_parquet
from engram.io.errors import EngramError
from engram.io.streams import stream_parquet
from engram.lm import generation
from engram.lm.generation import greedy_continuations, may_be_extracted, memorization_scores
from engram.lm.kept_batches import Kept
from engram.run.config import complete
from engram.sources import scoring
from engram.sources.candidates import window_table
from engram.sources.early_exit import EarlyExit
from engram.sources.scoring import SCORES, scores_with_early_exit, write_scored
from engram.taxonomy.taxonomy import Taxonomy
from engram.windows.labels import label

PREFIX, SUFFIX = 5, 8
MODELS = {kind: tiny_model(kind) for kind in ARCHITECTURES}


def windows_of(kind: str, seed: int, rows: int = 40) -> np.ndarray:
    """Windows of random prefixes with the model's continuation, of which three in four have a wrong
    token at a random place of the suffix.
    """
    generator = np.random.default_rng(seed)
    tokens = generator.integers(1, VOCABULARY, (rows, PREFIX + SUFFIX))
    tokens[:, PREFIX:] = greedy_continuations(MODELS[kind], tokens[:, :PREFIX], SUFFIX)
    wrong = np.flatnonzero(generator.random(rows) < 0.75)
    places = generator.integers(PREFIX, PREFIX + SUFFIX, len(wrong))
    tokens[wrong, places] = generator.integers(1, VOCABULARY, len(wrong))
    return tokens


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(ARCHITECTURES),
    seed=st.integers(0, 10**6),
    first=st.integers(1, SUFFIX - 1),
    share=st.sampled_from([0.0, 0.2, 1.0]),
    batch_tokens=st.sampled_from([1, 60, 8192]),
)
def test_the_labels_are_those_of_the_full_pass(
    kind: str, seed: int, first: int, share: float, batch_tokens: int
) -> None:
    tokens, model = windows_of(kind, seed), MODELS[kind]
    full = memorization_scores(model, tokens, PREFIX)
    assert 0 < full["extracted"].sum() < len(full)
    early = EarlyExit(first, share, seed)
    ids = np.arange(len(tokens)) + seed
    scores = scores_with_early_exit(model, ids, tokens, PREFIX, early, batch_tokens)
    assert scores["extracted"].tolist() == full["extracted"].tolist()
    assert scores.columns.tolist() == [*full.columns, "scored"] == [*SCORES, "scored"]
    known = scores["scored"].to_numpy()
    assert known[full["extracted"]].all()
    assert (share < 1) or known.all()
    others = scores[~known].drop(columns=["extracted", "scored"])
    assert others.isna().all(axis=None)
    pd.testing.assert_frame_equal(
        scores.loc[known, full.columns].drop(columns="extracted"),
        full[known].drop(columns="extracted").astype(float),
        rtol=1e-4,
        atol=1e-5,
    )


def test_what_is_kept_is_not_read_again(tmp_path: Path) -> None:
    tokens, early, kept = windows_of("llama", 1), EarlyExit(3, 0.3, 1), Kept(tmp_path, "weights")
    arguments = (np.arange(len(tokens)), tokens, PREFIX, early, 60)
    expected = scores_with_early_exit(MODELS["llama"], *arguments)
    model = tiny_model("llama")
    first = scores_with_early_exit(model, *arguments, kept)

    def refuse(*_: object) -> None:
        raise AssertionError("a window is read again")

    model.register_forward_pre_hook(refuse)
    model.base_model.register_forward_pre_hook(refuse)
    again = scores_with_early_exit(model, *arguments, kept)
    pd.testing.assert_frame_equal(first, expected)
    pd.testing.assert_frame_equal(again, expected)
    with pytest.raises(AssertionError, match="read again"):
        scores_with_early_exit(model, *arguments, Kept(tmp_path, "other weights"))


def test_a_window_that_fails_early_is_read_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = windows_of("llama", 1)
    passing = may_be_extracted(MODELS["llama"], tokens, PREFIX, 3)
    assert 0 < passing.sum() < len(tokens)
    read: list[np.ndarray] = []
    whole = scoring.teacher_forced_scores

    def recorded(model, windows, *arguments, kept):
        read.append(windows)
        return whole(model, windows, *arguments, kept=kept)

    monkeypatch.setattr(scoring, "teacher_forced_scores", recorded)
    monkeypatch.setattr(scoring, "memorization_scores", None)  # no window is in the share
    scores_with_early_exit(
        MODELS["llama"], np.arange(len(tokens)), tokens, PREFIX, EarlyExit(3, 0.0, 1)
    )
    assert [windows.tolist() for windows in read] == [tokens[passing].tolist()]


def test_a_tie_is_left_to_the_whole_forward() -> None:
    model = tiny_model("llama", seed=3)
    tokens = windows_of("llama", 2, rows=4)
    tokens[:, PREFIX:] = greedy_continuations(model, tokens[:, :PREFIX], SUFFIX)
    twin = (tokens[0, PREFIX] + 1) % VOCABULARY
    wrong = tokens.copy()
    wrong[0, PREFIX] = twin
    assert may_be_extracted(model, tokens, PREFIX, 1).all()
    assert not may_be_extracted(model, wrong, PREFIX, 1)[0]
    with torch.no_grad():  # the same logit within rounding
        head = model.get_output_embeddings().weight
        head[int(twin)] = head[int(tokens[0, PREFIX])] * (1 + 2**-22)
    assert may_be_extracted(model, wrong, PREFIX, 1)[0]
    assert may_be_extracted(model, tokens, PREFIX, 1)[0]


def test_bfloat16_has_its_own_rounding() -> None:
    model = tiny_model("gpt_neox").to(torch.bfloat16)
    tokens = windows_of("gpt_neox", 5)
    full = memorization_scores(model, tokens, PREFIX)["extracted"]
    passing = may_be_extracted(model, tokens, PREFIX, SUFFIX - 1)
    assert passing[full].all()
    assert not passing.all()
    assert generation.ROUNDING[torch.bfloat16] < generation.ROUNDING[torch.float32]


def test_windows_without_scores_belong_to_no_class(tmp_path: Path) -> None:
    tokens = windows_of("gpt2", 7).astype(np.int32)
    with stream_parquet(tmp_path / "w.parquet", {}) as stream:
        columns = {"sequence_id": np.arange(len(tokens)), "text": ["t"] * len(tokens)}
        stream.append(window_table(tokens, columns | {"sequence_duplicates": [1] * len(tokens)}))
    early = EarlyExit(2, 0.3, 4)
    write_scored(
        tmp_path / "w.parquet",
        tmp_path / "c.parquet",
        MODELS["gpt2"],
        PREFIX,
        {},
        early_exit=early,
    )
    assert read_metadata(tmp_path / "c.parquet")["early_exit"] == {
        "tokens": 2,
        "scored": 0.3,
        "seed": 4,
    }
    candidates = read_parquet(tmp_path / "c.parquet")
    labels, _ = label(candidates, PREFIX)
    classes = Taxonomy.parse("Non-Memo, Guess, Others").assign(labels)
    scored, extracted = labels["scored"], labels["extracted"]
    assert 0 < (scored & ~extracted).sum() < (~extracted).sum()
    assert (classes[scored & ~extracted] == "Non-Memo").all()
    assert classes[~scored].isna().all()
    assert classes[extracted].notna().all()
    candidates.loc[np.flatnonzero(extracted)[0], "memorization_score"] = np.nan
    with pytest.raises(EngramError, match=r"memorization_score of sequence_id \d+ is missing"):
        label(candidates, PREFIX)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"early_exit": {"tokens": 8}}, "early_exit.tokens: 8 is not less than suffix, 8"),
        (
            {"early_exit": {"tokens": 4}, "columns": {"text": "t", "memorization_score": "s"}},
            "early_exit.tokens: the table has a column of scores",
        ),
        ({"source": "nursery"}, "source nursery does not use `early_exit`"),
    ],
)
def test_an_early_exit_that_does_nothing_is_refused(changes: dict, message: str) -> None:
    table = {"source": "table", "model": "a/b", "revision": "v", "table": "t.csv"}
    columns = {"columns": {"text": "t", "sequence_duplicates": "d"}}
    model = {"name": "m", **table, **columns, "early_exit": {"tokens": 4}} | changes
    study = {"study": "x", "suffix": 8, "taxonomies": ["Non-Memo, Guess, Others"]}
    with pytest.raises(EngramError) as caught:
        complete(study | {"models": [model]})
    assert message in str(caught.value)

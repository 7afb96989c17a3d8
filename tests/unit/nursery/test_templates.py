"""Template text is what its family says, fresh, and of the length asked for."""

import re
from itertools import pairwise

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from engram.nursery.templates import FAMILIES, TemplateWriter
from engram.nursery.tokenizer import train_tokenizer
from engram.windows.reconstruct import is_incrementing, is_repeating

TEXTS = 150
Tokenizer = PreTrainedTokenizerFast


def texts(tokenizer: Tokenizer, family: str, characters: int = 1500) -> list[str]:
    writer = TemplateWriter(tokenizer, 0)
    return [writer.text(family, characters) for _ in range(TEXTS)]


def steps(numbers: list[int]) -> set[int]:
    return {after - before for before, after in pairwise(numbers)}


# --- families
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["repeat", "copy"])
def test_repetitions_repeat(tokenizer: Tokenizer, family: str) -> None:
    assert [text for text in texts(tokenizer, family) if not is_repeating(text)] == []


def test_repeated_chunks_are_short_and_copied_ones_long(tokenizer: Tokenizer) -> None:
    def period(text: str) -> int:
        return (text + text).find(text[:400], 1)

    repeated, copied = (
        [period(text) for text in texts(tokenizer, family)] for family in ("repeat", "copy")
    )
    assert np.median(repeated) < np.median(copied)
    assert min(repeated) < 12 and max(copied) > 60


@pytest.mark.parametrize(("family", "allowed"), [("counter", {1, 2, 5, 10}), ("table", {1})])
def test_counters_count_in_a_constant_frame(
    tokenizer: Tokenizer, family: str, allowed: set[int]
) -> None:
    for text in texts(tokenizer, family):
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        assert len(steps(numbers)) == 1 and steps(numbers) <= allowed, text
        assert is_repeating(re.sub(r"\d+", "#", text)), text


@pytest.mark.parametrize("family", ["counter", "table", "interleaved"])
def test_decimal_counters_are_found_by_the_detector(tokenizer: Tokenizer, family: str) -> None:
    assert [text for text in texts(tokenizer, family) if not is_incrementing(text)] == []


def test_hexadecimal_numbers_count_by_one(tokenizer: Tokenizer) -> None:
    for text in texts(tokenizer, "hexadecimal"):
        numbers = [int(number, 16) for number in re.findall(r"[0\\]x([0-9a-fA-F]+)", text)]
        assert len(numbers) > 50 and steps(numbers) == {1}, text


def test_two_counters_are_interleaved(tokenizer: Tokenizer) -> None:
    for text in texts(tokenizer, "interleaved"):
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        assert all(
            len(steps(numbers[turn::2])) == 1 and steps(numbers[turn::2]) <= {1, 2}
            for turn in (0, 1)
        ), text


@pytest.mark.parametrize("family", ["repeat", "copy"])
def test_repetitions_hold_no_numbers(tokenizer: Tokenizer, family: str) -> None:
    assert not any(re.search(r"\d", text) for text in texts(tokenizer, family))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("characters", [1, 100, 1000])
def test_a_text_has_at_least_the_characters_asked_for(
    tokenizer: Tokenizer, family: str, characters: int
) -> None:
    lengths = [len(text) for text in texts(tokenizer, family, characters)]
    assert min(lengths) >= characters
    assert max(lengths) < characters + 400


# --- windows
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [16, 64, 128])
def test_windows_have_the_length_asked_for(tokenizer: Tokenizer, length: int) -> None:
    windows = TemplateWriter(tokenizer, 1).windows([*FAMILIES] * 5, length)
    assert windows.shape == (5 * len(FAMILIES), length)
    assert windows.dtype == np.uint16
    assert windows.max() < len(tokenizer)


def test_no_families_give_no_windows(tokenizer: Tokenizer) -> None:
    assert TemplateWriter(tokenizer, 1).windows([], 64).shape == (0, 64)


def test_a_window_is_cut_from_its_familys_text(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    text = TemplateWriter.text
    monkeypatch.setattr(
        TemplateWriter, "text", lambda *arguments: written.append(text(*arguments)) or written[-1]
    )
    windows = TemplateWriter(tokenizer, 1).windows([*FAMILIES] * 10, 64)
    for one, window in zip(written, windows, strict=True):
        assert tokenizer.decode(window.tolist()) in one


def test_windows_begin_at_different_places(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a family's windows would all begin with the beginning of an item."""
    fixed = "one two three four five six seven eight nine ten " * 20
    monkeypatch.setattr(TemplateWriter, "text", lambda *_: fixed)
    windows = TemplateWriter(tokenizer, 1).windows(["repeat"] * 100, 64)
    assert len({tokenizer.decode(window.tolist()) for window in windows}) > 10


def test_one_seed_gives_one_sequence_of_windows(tokenizer: Tokenizer) -> None:
    families = [*FAMILIES] * 10
    first, second = (TemplateWriter(tokenizer, 7).windows(families, 64) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_writer_goes_on(tokenizer: Tokenizer) -> None:
    writer = TemplateWriter(tokenizer, 7)
    assert (writer.windows([*FAMILIES], 64) != writer.windows([*FAMILIES], 64)).any(axis=1).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_draws_practically_never_coincide(tokenizer: Tokenizer, family: str) -> None:
    windows = np.concatenate(
        [TemplateWriter(tokenizer, seed).windows([family] * 60, 64) for seed in (1, 2)]
    )
    assert len(np.unique(windows[:, 32:], axis=0)) >= 0.98 * len(windows)


def test_words_that_are_single_tokens_do_not_make_windows_short() -> None:
    words = ["incomprehensibilitiesoverwhelmingly", "counterrevolutionariesphotographically"]
    tokenizer = train_tokenizer([" ".join(words * 30) + "/".join(words * 30)], 500)
    assert {len(tokenizer.encode(word)) for word in words} == {1}
    windows = TemplateWriter(tokenizer, 1).windows(["repeat"] * 200, 64)
    assert windows.shape == (200, 64)

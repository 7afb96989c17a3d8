"""prefix_suffix_rouge against the package rouge-score, bit for bit."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from engram.io.errors import EngramError
from engram.windows.rouge import prefix_suffix_rouge


def reference(tokens: np.ndarray, prefix: int) -> tuple[list[float], list[float]]:
    """Scores of rouge-score as the study computes them: reference = prefix, prediction = suffix."""
    scorer = RougeScorer(["rougeL", "rouge3"], use_stemmer=False)
    scores = [
        scorer.score(" ".join(map(str, row[:prefix])), " ".join(map(str, row[prefix:])))
        for row in tokens.tolist()
    ]
    return [score["rougeL"].fmeasure for score in scores], [
        score["rouge3"].fmeasure for score in scores
    ]


def mixed_rows(rows: int, length: int, seed: int) -> np.ndarray:
    """Random rows of alphabets of 1 to 50,000 tokens and periodic rows: all degrees of overlap."""
    random = np.random.default_rng(seed)
    tokens = random.integers(
        0, random.choice([1, 2, 3, 5, 10, 40, 50_000], size=(rows, 1)), size=(rows, length)
    )
    period = random.integers(1, length + 1, size=(rows, 1))
    return np.take_along_axis(tokens, np.arange(length) % period, axis=1)


SHAPES = [(32, 32), (20, 44), (44, 20), (64, 64), (64, 5), (3, 100), (1, 1), (2, 2), (3, 3), (2, 7)]


@pytest.mark.parametrize(("prefix", "suffix"), SHAPES)
def test_equals_rouge_score_bit_for_bit(prefix: int, suffix: int) -> None:
    tokens = mixed_rows(300, prefix + suffix, seed=prefix)
    rouge_l, rouge_3 = prefix_suffix_rouge(tokens, prefix)
    expected_l, expected_3 = reference(tokens, prefix)
    assert rouge_l.tolist() == expected_l
    assert rouge_3.tolist() == expected_3


LONG = [(65, 65), (128, 5), (100, 150), (64 * 3 + 1, 20)]
"""Prefixes of two words, whole and not, of three, and of one bit in the last word."""


@pytest.mark.parametrize(("prefix", "suffix"), LONG)
def test_long_prefixes_equal_rouge_score_bit_for_bit(prefix: int, suffix: int) -> None:
    tokens = mixed_rows(40, prefix + suffix, seed=prefix)
    rouge_l, rouge_3 = prefix_suffix_rouge(tokens, prefix)
    assert (rouge_l.tolist(), rouge_3.tolist()) == reference(tokens, prefix)


def test_trigrams_across_words_count_as_often_as_they_are_in_both() -> None:
    prefix = np.arange(2, 1026)  # 1,024 different tokens
    rows = np.stack([np.concatenate([prefix, np.tile(prefix[at : at + 3], 4)]) for at in (62, 63)])
    _, rouge_3 = prefix_suffix_rouge(rows, 1024)
    precision, recall = 1 / 10, 1 / 1022
    assert rouge_3.tolist() == [2 * precision * recall / (precision + recall)] * 2


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=24), st.data())
def test_equals_rouge_score_on_tiny_alphabets(row: list[int], data: st.DataObject) -> None:
    prefix = data.draw(st.integers(1, len(row) - 1))
    tokens = np.array([row])
    rouge_l, rouge_3 = prefix_suffix_rouge(tokens, prefix)
    assert (rouge_l.tolist(), rouge_3.tolist()) == reference(tokens, prefix)


def test_prefix_and_suffix_may_change_places() -> None:
    tokens = mixed_rows(2000, 60, seed=7)
    forward = prefix_suffix_rouge(tokens, 37)
    backward = prefix_suffix_rouge(np.roll(tokens, 23, axis=1), 23)
    np.testing.assert_array_equal(forward, backward)


def test_only_equality_of_ids_counts() -> None:
    tokens = mixed_rows(1000, 64, seed=8) % 50
    renamed = np.random.default_rng(0).permutation(50)[tokens]
    np.testing.assert_array_equal(prefix_suffix_rouge(tokens), prefix_suffix_rouge(renamed))


@pytest.mark.parametrize("dtype", [np.uint16, np.uint64])
def test_integer_type_does_not_matter(dtype: type) -> None:
    tokens = mixed_rows(500, 64, seed=9)
    np.testing.assert_array_equal(
        prefix_suffix_rouge(tokens.astype(dtype)), prefix_suffix_rouge(tokens)
    )


def test_array_order_does_not_matter() -> None:
    tokens = mixed_rows(500, 64, seed=10)
    np.testing.assert_array_equal(
        prefix_suffix_rouge(np.asfortranarray(tokens)), prefix_suffix_rouge(tokens)
    )


def test_torch_keeps_its_number_of_threads() -> None:
    """A parallel loop of numba sets it to all cores, and an operation of torch then spins at its
    barriers.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    prefix_suffix_rouge(mixed_rows(500, 64, seed=11))
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert after == 3


def test_no_rows_give_no_scores() -> None:
    rouge_l, rouge_3 = prefix_suffix_rouge(np.empty((0, 64), dtype=np.int64))
    assert rouge_l.shape == rouge_3.shape == (0,)


def copied_prefixes() -> np.ndarray:
    """Row k: 32 distinct prefix tokens, the first k of them again, then fresh ones; LCS k, k - 2
    shared trigrams.
    """
    prefix = np.arange(32)
    suffixes = [np.where(np.arange(32) < copied, prefix, prefix + 100) for copied in range(33)]
    return np.array([np.concatenate([prefix, suffix]) for suffix in suffixes])


THRESHOLDS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


@pytest.mark.parametrize(("tenths", "threshold"), list(enumerate(THRESHOLDS, start=1)))
def test_literal_thresholds_decide_as_fractions_do(tenths: int, threshold: float) -> None:
    rouge_l, rouge_3 = prefix_suffix_rouge(copied_prefixes())
    exact = Fraction(tenths, 10)
    assert [score >= threshold for score in rouge_l] == [
        Fraction(copied, 32) >= exact for copied in range(33)
    ]
    assert [score >= threshold for score in rouge_3] == [
        Fraction(max(copied - 2, 0), 30) >= exact for copied in range(33)
    ]


def test_scores_on_a_threshold_keep_the_rounding_of_rouge_score() -> None:
    _, rouge_3 = prefix_suffix_rouge(copied_prefixes())
    by_shared_trigrams = dict(zip(range(31), rouge_3[2:].tolist(), strict=True))
    assert {shared: by_shared_trigrams[shared] for shared in (3, 6, 9, 12, 15, 18, 21, 24, 27)} == {
        3: 0.10000000000000002,
        6: 0.20000000000000004,
        9: 0.3,
        12: 0.4000000000000001,
        15: 0.5,
        18: 0.6,
        21: 0.7,
        24: 0.8000000000000002,
        27: 0.9,
    }


@pytest.mark.parametrize(
    ("tokens", "prefix", "message"),
    [
        (np.zeros(64, dtype=int), 32, r"shape \(64,\)"),
        (np.zeros((2, 64)), 32, "float64"),
        (np.zeros((2, 64), dtype=int), 0, "prefix: 0 tokens"),
        (np.zeros((2, 2048), dtype=int), 1025, "prefix: 1025 tokens"),
        (np.zeros((2, 32), dtype=int), 32, "windows of 32 tokens leave no suffix"),
        (np.array([[1, 2, -1, 4]]), 2, "id -1 is negative"),
    ],
    ids=["one row", "floats", "no prefix", "long prefix", "no suffix", "negative id"],
)
def test_wrong_input_is_named(tokens: np.ndarray, prefix: int, message: str) -> None:
    with pytest.raises(EngramError, match=message):
        prefix_suffix_rouge(tokens, prefix)

"""Similarity of texts, against the textbook tables of all pairs of tokens."""

from __future__ import annotations

import numpy as np
import pytest

from engram.windows.similarity import longest_common_run, similarity


def tables(first: list[int], second: list[int]) -> tuple[int, int, int]:
    """Longest common subsequence, edit distance and longest common run."""
    shape = len(first) + 1, len(second) + 1
    common, run, edits = np.zeros(shape, int), np.zeros(shape, int), np.zeros(shape, int)
    edits[0], edits[:, 0] = np.arange(shape[1]), np.arange(shape[0])
    for i in range(1, shape[0]):
        for j in range(1, shape[1]):
            equal = first[i - 1] == second[j - 1]
            run[i, j] = (run[i - 1, j - 1] + 1) * equal
            common[i, j] = max(common[i - 1, j], common[i, j - 1], common[i - 1, j - 1] + equal)
            around = edits[i - 1, j] + 1, edits[i, j - 1] + 1, edits[i - 1, j - 1] + (not equal)
            edits[i, j] = min(around)
    return int(common[-1, -1]), int(edits[-1, -1]), int(run.max())


@pytest.mark.parametrize("words", [2, 5, 1000])
@pytest.mark.parametrize(
    "sizes", [(1, 1), (30, 30), (64, 64), (65, 63), (63, 150), (200, 130), (0, 5)]
)
def test_measures_are_those_of_the_tables(sizes: tuple[int, int], words: int) -> None:
    """Lengths on both sides of a block of 64; ids far apart."""
    generator = np.random.default_rng(words)
    first, second = (generator.integers(0, words, size) * 10_007 for size in sizes)
    if min(sizes) > 20:
        second[3:15] = first[5:17]
    common, edits, run = tables(first.tolist(), second.tolist())
    assert longest_common_run(first, second) == run
    measures = similarity(first, second)
    assert similarity(second, first) == measures
    assert measures["rouge_l"] == 2 * common / sum(sizes)
    assert measures["levenshtein"] == 1 - edits / max(sizes)
    assert measures["longest_common_run"] == run


def test_jaccard_is_the_share_of_different_tokens() -> None:
    assert similarity(np.array([1, 1, 2, 3]), np.array([3, 2, 2, 4]))["jaccard"] == 2 / 4


def test_equal_texts_are_alike_and_empty_ones_are_equal() -> None:
    text = np.random.default_rng(0).integers(0, 50, 500)
    equal = {"jaccard": 1.0, "rouge_l": 1.0, "levenshtein": 1.0}
    assert similarity(text, text.astype(np.int32)) == {**equal, "longest_common_run": 500}
    assert similarity(text[:0], text[:0]) == {**equal, "longest_common_run": 0}

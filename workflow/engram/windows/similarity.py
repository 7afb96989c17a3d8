"""How alike two texts are, as runs of token ids of any length: a book and what a model writes of
it.

All measures take memory that grows with the sum of the lengths. Common subsequence and edit
distance take one step per 64 tokens of one text and token of the other: 100,000 tokens of each are
compared in about a second.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engram.windows.duplicates import hashes_of_runs

MEASURES = ("jaccard", "rouge_l", "levenshtein", "longest_common_run")
"""Columns of `similarity`."""
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


def similarity(true: np.ndarray, written: np.ndarray) -> dict[str, float]:
    """Return how alike two texts are.

    Args:
        true: token ids (n,).
        written: token ids (m,).

    Returns:
        jaccard: share of their different tokens that both have. rouge_l: F-measure of the longest
        common subsequence (the tokens that both have in the same order). levenshtein: 1 less the
        edit distance (insertions, deletions, substitutions) as a share of the longer text. All
        three are fractions, 1 for equal texts. longest_common_run: tokens of the longest run that
        both have, wherever it is. Two empty texts are equal.
    """
    first, second = _compact(true, written)
    shared = np.intersect1d(first, second).size
    different = np.union1d(first, second).size
    longest, both = max(len(first), len(second)), len(first) + len(second)
    return {
        "jaccard": shared / different if different else 1.0,
        "rouge_l": 2 * _subsequence(first, second) / both if both else 1.0,
        "levenshtein": 1 - _edits(first, second) / longest if longest else 1.0,
        "longest_common_run": longest_common_run(first, second),
    }


def longest_common_run(first: np.ndarray, second: np.ndarray) -> int:
    """Return the tokens of the longest run that two texts have in common, by halving: what shares a
    run shares all shorter ones. Runs are compared by 64-bit hashes.
    """
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if np.isin(hashes_of_runs(first, middle), hashes_of_runs(second, middle)).any():
            low = middle
        else:
            high = middle - 1
    return low


def _compact(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both texts with their tokens numbered from 0 without gaps, int64."""
    numbers = np.unique(np.concatenate([first, second]).astype(np.int64), return_inverse=True)[1]
    return numbers[: len(first)], numbers[len(first) :]


# Both functions go through one text 64 tokens at a time. What a block passes to the next one, a
# value for each token of the other text, is kept in an array, so that no table of all pairs is.


@njit
def _subsequence(first: np.ndarray, second: np.ndarray) -> int:  # pragma: no cover
    """Return the length of the longest common subsequence of compact texts, by the bit vectors of
    Crochemore et al. (2001).
    """
    n, m = len(first), len(second)
    if n == 0 or m == 0:
        return 0
    masks = np.zeros(max(first.max(), second.max()) + 1, np.uint64)
    carries = np.zeros(m, np.uint64)
    length = 0
    for begin in range(0, n, 64):
        end = min(n, begin + 64)
        for place in range(begin, end):
            masks[first[place]] |= np.uint64(1) << np.uint64(place - begin)
        free = _ALL
        for column in range(m):
            match = masks[second[column]]
            matched = free & match
            total = free + matched
            carry = np.uint64(total < free)
            total += carries[column]
            carry |= np.uint64(total < carries[column])
            carries[column] = carry
            free = total | (free & ~match)
        for place in range(end - begin):  # a zero is one token of the subsequence
            length += int((~free >> np.uint64(place)) & np.uint64(1))
        for place in range(begin, end):
            masks[first[place]] = np.uint64(0)
    return length


@njit
def _edits(first: np.ndarray, second: np.ndarray) -> int:  # pragma: no cover
    """Return the least number of insertions, deletions and substitutions of tokens that make one
    compact text the other (Levenshtein), by the bit vectors of Myers (1999) and Hyyrö (2003).
    """
    n, m = len(first), len(second)
    if n == 0 or m == 0:
        return max(n, m)
    one = np.uint64(1)
    masks = np.zeros(max(first.max(), second.max()) + 1, np.uint64)
    steps = np.ones(m, np.int8)  # of the distance, from column to column in the row above
    distance = n
    for begin in range(0, n, 64):
        end = min(n, begin + 64)
        for place in range(begin, end):
            masks[first[place]] |= one << np.uint64(place - begin)
        last = np.uint64(end - begin - 1)
        up, down = _ALL, np.uint64(0)  # steps from row to row: +1, −1
        for column in range(m):
            match, step = masks[second[column]], steps[column]
            vertical = match | down
            if step < 0:
                match |= one
            across = (((match & up) + up) ^ up) | match
            plus, minus = down | ~(across | up), up & across
            change = int((plus >> last) & one) - int((minus >> last) & one)
            plus, minus = plus << one, minus << one
            if step < 0:
                minus |= one
            elif step > 0:
                plus |= one
            up, down = minus | ~(vertical | plus), plus & vertical
            steps[column] = change
            if end == n:
                distance += change
        for place in range(begin, end):
            masks[first[place]] = np.uint64(0)
    return distance

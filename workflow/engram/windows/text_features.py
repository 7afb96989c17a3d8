"""Features of a sample's text: how much information its characters and tokens carry, and which
samples share a suffix.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from engram.io.errors import EngramError
from engram.windows.duplicates import group_rows

ROWS_AT_ONCE = 1 << 16
"""Rows that `token_entropy` sorts at a time: its working memory does not grow with the table."""


def huffman_coding_length(text: str) -> float:
    """Return the mean length of a prefix code for the text's characters: Σ p·ceil(−log2 p), in bits
    per character.

    p is a character's share of the text. This is the column `huffman_coding_length` of the study's
    data, which is the length of a Shannon code: at least the entropy of the characters, and less
    than one bit above it. A text of one character repeated needs 0 bits, as does the empty text.
    """
    total = 0
    for count in Counter(text).values():
        # ceil(log2(n / count)) in integers: a float logarithm of a power of two need not be whole.
        total += count * (-(-len(text) // count) - 1).bit_length()
    return total / len(text) if text else 0.0


def token_entropy(tokens: np.ndarray) -> np.ndarray:
    """Return entropy of each window's token frequencies: 0 for one repeated token, log2 T where all
    tokens differ.

    Args:
        tokens: token ids (n, T), any integer type.

    Returns:
        (n,) float64, bits per token.

    Raises:
        EngramError: `tokens` is no (n, T) array of integers with T >= 1.
    """
    if tokens.ndim != 2 or tokens.shape[1] < 1 or not np.issubdtype(tokens.dtype, np.integer):
        raise EngramError(
            f"tokens: shape {tokens.shape} of {tokens.dtype}; the entropy needs a table of token "
            f"ids, (windows, tokens) integers"
        )
    windows, length = tokens.shape
    share = np.arange(1, length + 1) / length
    terms = np.concatenate(
        [[0.0], 0.0 - share * np.log2(share)]
    )  # (T + 1,): a token's part of the sum, by its count
    entropy = np.empty(windows)
    for start in range(0, windows, ROWS_AT_ONCE):
        ordered = np.sort(tokens[start : start + ROWS_AT_ONCE], axis=1)  # (rows, T)
        first = np.ones(ordered.shape, dtype=bool)  # (rows, T): the first of a run of equal tokens
        first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
        begins = np.flatnonzero(first)  # (runs,), over the flattened rows
        counts = np.diff(begins, append=ordered.size)  # (runs,)
        entropy[start : start + ROWS_AT_ONCE] = np.bincount(
            begins // length, terms[counts], len(ordered)
        )
    return entropy


FREQUENCIES = ("max_frequency", "avg_frequency", "min_frequency", "median_frequency")
"""Columns of `token_frequencies`, as the study's data call them."""


def token_counts(tokens: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Return how often each token id occurs, int64 (highest id + 1,).

    Args:
        tokens: token ids >= 0 of any shape.
        counts: of other tokens; they are added.
    """
    fresh = np.bincount(tokens.ravel(), minlength=0 if counts is None else len(counts)).astype(
        np.int64
    )
    if counts is not None:
        fresh[: len(counts)] += counts
    return fresh


def token_frequencies(tokens: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return how frequent the tokens of each window are: the columns `FREQUENCIES`, float64 (n,)
    each.

    The study's data count tokens in the whole training corpus; what is counted here is up to the
    caller.

    Args:
        tokens: token ids (n, T).
        counts: occurrences by token id, as `token_counts` gives them.
    """
    of_each = counts[tokens].astype(np.float64)  # (n, T)
    return {
        "max_frequency": of_each.max(axis=1),
        "avg_frequency": of_each.mean(axis=1),
        "min_frequency": of_each.min(axis=1),
        "median_frequency": np.median(of_each, axis=1),
    }


def content_groups(suffix_tokens: np.ndarray) -> np.ndarray:
    """Return the numbers that are equal exactly where the suffixes are: splits keep a group
    together.

    Args:
        suffix_tokens: token ids (n, S), any integer type.

    Returns:
        (n,) int64, from 0 in the order of first appearance.

    Raises:
        EngramError: `suffix_tokens` is no (n, S) array of integers with S >= 1.
    """
    groups, _, _ = group_rows(suffix_tokens)
    return groups

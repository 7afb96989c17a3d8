"""What makes two texts the same: hashes of their prefix and of their suffix."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np


def content_numbers(tokens: np.ndarray) -> np.ndarray:
    """Return a number per row that is equal where rows (n, S) are equal: int64 (n,), 0 or more.

    It depends on the row alone, so that a text keeps its number, and with it its split, whatever
    other texts come along. Two different rows share one with a probability of 2⁻⁶³.
    """
    rows = np.ascontiguousarray(tokens, dtype="<i4")
    digests = (blake2b(row.tobytes(), digest_size=8).digest() for row in rows)
    return np.array([int.from_bytes(digest) >> 1 for digest in digests], np.int64)


def halves(tokens: np.ndarray, prefix: int) -> list[tuple[str, str]]:
    """Return the content hashes of the prefix and of the suffix of every window (n, T).

    A text whose true suffix was studied and one whose suffix the model wrote share the prefix;
    copies of a suffix after other prefixes share the suffix.
    """
    first, second = content_numbers(tokens[:, :prefix]), content_numbers(tokens[:, prefix:])
    return [(f"p{a:016x}", f"s{b:016x}") for a, b in zip(first, second, strict=True)]


def all_halves(tokens: np.ndarray, prefix: int) -> frozenset[str]:
    """Return the content hashes of all prefixes and suffixes of windows (n, T)."""
    return frozenset(half for pair in halves(tokens, prefix) for half in pair)


def seen_before(tokens: np.ndarray, prefix: int, chosen_by: frozenset[str]) -> np.ndarray:
    """Return which windows share their prefix or their suffix with a set of them, bool (n,)."""
    return np.array([not chosen_by.isdisjoint(pair) for pair in halves(tokens, prefix)], bool)

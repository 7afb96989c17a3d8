"""Equal runs of tokens: shared suffixes, and how often each occurs in a corpus."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd

from engram.io.errors import EngramError

TOKENS_AT_ONCE = 1 << 20
"""Tokens that are hashed and compared at a time: the working memory beyond the results."""


def group_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Group rows of tokens that are equal, exactly.

    Args:
        rows: token ids (n, S), any integer type.

    Returns:
        groups: number of each row's group (n,) int64, from 0 in the order of first appearance.
        firsts: first row of each group (G,), ascending.
        multiplier: of a polynomial hash that differs between any two groups.

    Raises:
        EngramError: `rows` is no (n, S) array of integers with S >= 1.
    """
    if rows.ndim != 2 or rows.shape[1] < 1 or not np.issubdtype(rows.dtype, np.integer):
        raise EngramError(
            f"suffixes: shape {rows.shape} of {rows.dtype}; they must be a table of token ids, "
            f"(samples, tokens) integers"
        )
    multipliers = _multipliers()
    while True:
        multiplier = next(multipliers)
        # Hashes, not bytes: numpy drops a byte string's trailing NULs and pandas miscompares NULs,
        # which token ids are full of.
        groups = pd.factorize(_row_hashes(rows, multiplier))[0].astype(np.int64)
        # Numbers are given in order of appearance, so that a new one is a new maximum.
        firsts = np.flatnonzero(np.diff(np.maximum.accumulate(groups), prepend=-1))
        if all((rows[part] == rows[firsts[groups[part]]]).all() for part in _parts(*rows.shape)):
            return groups, firsts, multiplier


def suffix_occurrences(
    suffixes: np.ndarray, stream_tokens: np.ndarray, boundaries: np.ndarray
) -> np.ndarray:
    """Return how often each suffix occurs in a corpus, at any offset, within one document: the
    study's `sequence_duplicates`.

    Occurrences may overlap. A suffix that does not occur counts 0; the study's column gives it 1.
    Windows of the stream are found by a 64-bit rolling hash and every find is compared token by
    token, so that the counts are exact.

    Args:
        suffixes: token ids (n, S), any integer type.
        stream_tokens: the corpus (m,), documents one after another, any integer type; may be a
            memory map.
        boundaries: offset of each document's first token (documents,), ascending from 0; an empty
            document repeats the offset of the next.

    Returns:
        (n,) int64 counts.

    Raises:
        EngramError: a shape or type is wrong, or `boundaries` do not ascend from 0 within the
            stream.
    """
    groups, firsts, _ = grouped = group_rows(suffixes)
    counts = np.zeros(len(firsts), dtype=np.int64)
    for _, hits in _occurrences(suffixes, grouped, stream_tokens, boundaries):
        np.add.at(counts, hits, 1)
    return counts[groups]


def rows_that_hold(suffixes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return which rows hold one of the suffixes, at any offset, bool (r,).

    Args:
        suffixes: token ids (n, S), any integer type.
        rows: token ids (r, T), any integer type.
    """
    holds = np.zeros(len(rows), dtype=bool)
    starts = np.arange(0, rows.size, rows.shape[1])
    for positions, _ in _occurrences(suffixes, group_rows(suffixes), rows.ravel(), starts):
        holds[positions // rows.shape[1]] = True
    return holds


def runs_elsewhere(
    stream: np.ndarray,
    owners: np.ndarray,
    reference: np.ndarray,
    boundaries: np.ndarray,
    length: int,
) -> np.ndarray:
    """Return which runs of tokens of a stream occur in other text: in a reference, or in a part of
    the stream that belongs to another owner.

    Runs are compared by 64-bit hashes: a run could by chance (less than one in a billion for a
    reference of a billion tokens) count as known that is not; none is overlooked.

    Args:
        stream: token ids (m,), any integer type.
        owners: number of whom each token belongs to, (m,).
        reference: token ids (r,), documents one after another; may be a memory map.
        boundaries: offset of each document's first token in the reference, ascending from 0.
        length: tokens of a run.

    Returns:
        bool (m − length + 1,), by the run's first token; a run belongs to the owner of that token.
    """
    if len(stream) < length:
        return np.zeros(0, dtype=bool)
    multiplier = next(_multipliers())
    distinct, number = np.unique(_window_hashes(stream, length, multiplier), return_inverse=True)
    whose = owners[: len(number)]
    lowest, highest = np.full(len(distinct), whose.max()), np.full(len(distinct), whose.min())
    np.minimum.at(lowest, number, whose)
    np.maximum.at(highest, number, whose)
    elsewhere = lowest != highest
    ends = np.append(_document_starts(boundaries, reference)[1:], len(reference))
    for begin in range(0, len(reference) - length + 1, TOKENS_AT_ONCE):
        block = np.asarray(reference[begin : begin + TOKENS_AT_ONCE + length - 1])
        hashes = _window_hashes(block, length, multiplier)
        slots = np.minimum(np.searchsorted(distinct, hashes), len(distinct) - 1)
        hits = np.flatnonzero(distinct[slots] == hashes)
        end = ends[np.searchsorted(ends, begin + hits, side="right")]
        elsewhere[slots[hits[begin + hits + length <= end]]] = True
    return elsewhere[number]


def run_owners(
    stream: np.ndarray, boundaries: np.ndarray, owners: np.ndarray, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many owners of documents hold each run of tokens of a stream, at any offset.

    Runs are compared by 64-bit hashes.

    Args:
        stream: token ids (m,), documents one after another.
        boundaries: offset of each document's first token, ascending from 0, (documents,).
        owners: number of whom each document belongs to, (documents,).
        length: tokens of a run.

    Returns:
        counts (m − length + 1,), by the run's first token, 0 where the run leaves its document; and
        numbers (m − length + 1,) that are equal where the runs are.
    """
    places = len(stream) - length + 1
    if places < 1:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    starts = _document_starts(boundaries, stream)
    document = np.searchsorted(starts, np.arange(places), side="right") - 1
    within = np.arange(places) + length <= np.append(starts[1:], len(stream))[document]
    hashes = _window_hashes(stream, length, next(_multipliers()))
    number = np.unique(hashes, return_inverse=True)[1].astype(np.int64)
    whose = np.asarray(owners, dtype=np.int64)[document]
    several = int(whose.max()) + 1
    pairs = np.unique(number[within] * several + whose[within])  # run and owner, each pair once
    counts = np.bincount(pairs // several, minlength=places)[number]
    return np.where(within, counts, 0), number


def hashes_of_runs(tokens: np.ndarray, length: int) -> np.ndarray:
    """Return a 64-bit hash of every run of `length` tokens, (m − length + 1,); those of equal runs
    are equal.

    Args:
        tokens: token ids (m,), any integer type.
        length: tokens of a run, 1 to m.
    """
    return _window_hashes(tokens, length, next(_multipliers()))


def _occurrences(
    suffixes: np.ndarray,
    grouped: tuple[np.ndarray, np.ndarray, int],
    stream_tokens: np.ndarray,
    boundaries: np.ndarray,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield offsets in the stream at which a suffix occurs, (h,), and the suffixes' groups, (h,);
    `grouped` is what `group_rows` returns for the suffixes.
    """
    _, firsts, multiplier = grouped
    length = suffixes.shape[1]
    starts = _document_starts(boundaries, stream_tokens)
    distinct = suffixes[firsts]  # (G, S)
    hashes = _row_hashes(distinct, multiplier)  # (G,), no two equal
    order = np.argsort(hashes)
    ordered = hashes[order]
    windows = len(stream_tokens) - length + 1
    for begin in range(0, windows if len(distinct) else 0, TOKENS_AT_ONCE):
        block = np.asarray(stream_tokens[begin : begin + TOKENS_AT_ONCE + length - 1])
        found = _window_hashes(block, length, multiplier)  # (windows of the block,)
        slots = np.minimum(np.searchsorted(ordered, found), len(ordered) - 1)
        offsets = np.flatnonzero(ordered[slots] == found)  # (hits,)
        hits = order[slots[offsets]]  # (hits,) rows of `distinct`
        next_start = np.append(starts, len(stream_tokens))[
            np.searchsorted(starts, begin + offsets, side="right")
        ]
        within = begin + offsets + length <= next_start
        offsets, hits = offsets[within], hits[within]
        for part in _parts(len(offsets), length):
            span = block[offsets[part, None] + np.arange(length)]  # (part, S)
            equal = (span == distinct[hits[part]]).all(axis=1)
            yield begin + offsets[part][equal], hits[part][equal]


def _document_starts(boundaries: np.ndarray, stream_tokens: np.ndarray) -> np.ndarray:
    """Return the checked offsets as int64."""
    if stream_tokens.ndim != 1 or not np.issubdtype(stream_tokens.dtype, np.integer):
        raise EngramError(
            f"stream: shape {stream_tokens.shape} of {stream_tokens.dtype}; it must be one "
            f"sequence of integer token ids"
        )
    starts = np.asarray(boundaries)
    if starts.ndim != 1 or not np.issubdtype(starts.dtype, np.integer):
        raise EngramError(
            f"boundaries: shape {starts.shape} of {starts.dtype}; give the integer offset of each "
            f"document's first token"
        )
    starts = starts.astype(np.int64)
    if len(starts) == 0 and len(stream_tokens) == 0:
        return starts
    if (
        len(starts) == 0
        or starts[0] != 0
        or (np.diff(starts) < 0).any()
        or starts[-1] > len(stream_tokens)
    ):
        ends = f"{starts[:1].tolist()} to {starts[-1:].tolist()}"
        raise EngramError(
            f"boundaries: {len(starts)} offsets, {ends}, for a stream of {len(stream_tokens)} "
            f"tokens; "
            "they must ascend from 0 and stay within the stream"
        )
    return starts


def _multipliers() -> Iterator[int]:
    """Yield odd multipliers of the polynomial hash, without end; one after the first is needed only
    where rows collide.
    """
    yield from itertools.count(0x9E3779B97F4A7C15, 2)


def _mix(values: np.ndarray) -> np.ndarray:
    """Return spreads integers over 64 bits, one to one (the finalizer of MurmurHash3), so that
    small ids differ in many bits.
    """
    mixed = values.astype(np.uint64)
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed ^= mixed >> np.uint64(33)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(33)
    return mixed


def _row_hashes(rows: np.ndarray, multiplier: int) -> np.ndarray:
    """Return polynomial hash Σ mix(token_j)·multiplier^(S−1−j) mod 2^64 of each row (n,)."""
    hashes = np.zeros(len(rows), dtype=np.uint64)
    for part in _parts(*rows.shape):
        for column in _mix(rows[part]).T:
            hashes[part] = hashes[part] * _power(multiplier, 1) + column
    return hashes


def _window_hashes(tokens: np.ndarray, length: int, multiplier: int) -> np.ndarray:
    """Return the hash of `_row_hashes` for every window of `length` tokens, (m − length + 1,).

    Windows are doubled, and prolonged by a token where the binary digit of `length` is 1: log2 S
    passes.
    """
    mixed = _mix(tokens)
    hashes, size = mixed, 1  # of the windows of `size` tokens, (m − size + 1,)
    for digit in f"{length:b}"[1:]:
        hashes = hashes[:-size] * _power(multiplier, size) + hashes[size:]
        size *= 2
        if digit == "1":
            hashes = hashes[:-1] * _power(multiplier, 1) + mixed[size:]
            size += 1
    return hashes


def _power(multiplier: int, exponent: int) -> np.uint64:
    """Return multiplier^exponent mod 2^64."""
    return np.uint64(pow(multiplier, exponent, 1 << 64))


def _parts(rows: int, length: int) -> list[slice]:
    """Return slices that cover the rows, about `TOKENS_AT_ONCE` tokens each."""
    step = max(1, TOKENS_AT_ONCE // length)
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]

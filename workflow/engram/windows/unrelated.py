"""Unrelated prefixes: for every window, those of other windows that have nothing to do with it.

A window's unrelated prefixes are drawn from a pool, by permanent random numbers: they depend on the
seed, the window and the pool, and not on the order of windows or on batches. A window of the pool
is related to another if it has the same suffix, the same document, or a run of tokens of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engram.io.errors import EngramError
from engram.io.hashing import uniform
from engram.windows.shown_text import run_hashes, suffix_keys

POOL = 4096
"""Most windows whose prefixes are drawn from."""
RUN = 12
"""Tokens in a row that make two windows related; fewer where a prefix has fewer."""
_AT_ONCE = 2048
"""Windows that are compared at a time: working memory stays below 10 MB."""


@dataclass(frozen=True)
class Windows:
    """Windows among which relations are looked for."""

    sequence_id: np.ndarray
    """int64 (n,)."""
    tokens: np.ndarray
    """(n, T)."""
    document: np.ndarray | None = None
    """Of each window, (n,) objects; None where the source knows none."""

    def rows(self, rows: np.ndarray | slice) -> Windows:
        """Return some of the windows."""
        document = None if self.document is None else self.document[rows]
        return Windows(self.sequence_id[rows], self.tokens[rows], document)


def pooled(sequence_ids: np.ndarray, seed: int, size: int = POOL) -> np.ndarray:
    """Return the rows of the pool: those with the lowest permanent random numbers, in their order.

    Args:
        sequence_ids: int64 (n,).
        seed: the study's.
        size: most rows.
    """
    return np.argsort(uniform(sequence_ids, seed, "unrelated pool"), kind="stable")[:size]


def unrelated_prefixes(
    windows: Windows, pool: Windows, prefix: int, count: int, seed: int
) -> np.ndarray:
    """Return `count` different unrelated prefixes for every window, (n, count, prefix).

    Args:
        windows: the windows that they are for.
        pool: where they come from, in random order (`pooled`).
        prefix: tokens of a prefix.
        count: prefixes for each window.
        seed: the study's.

    Raises:
        EngramError: a window has fewer unrelated ones in the pool.
    """
    size = len(pool.tokens)
    start = (uniform(windows.sequence_id, seed, "unrelated prefix") * size).astype(np.int64)
    run = min(RUN, prefix)
    keys, runs = suffix_keys(pool.tokens[:, prefix:]), run_hashes(pool.tokens[:, :prefix], run)
    chosen = np.full((len(start), count), -1, np.int64)
    for first in range(0, len(start), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        some, walk, slots = windows.rows(part), start[part], chosen[part]
        key, own = suffix_keys(some.tokens[:, prefix:]), run_hashes(some.tokens, run)
        have = np.zeros(len(slots), np.int64)
        # The pool is in random order, so neighbours in it are as good as a random draw.
        for step in range(size):
            open_ = np.flatnonzero(have < count)
            if not len(open_):
                break
            place = (walk[open_] + step) % size
            related = (key[open_] == keys[place]) | (
                some.sequence_id[open_] == pool.sequence_id[place]
            )
            if some.document is not None and pool.document is not None:
                related |= some.document[open_] == pool.document[place]
            related |= (own[open_, :, None] == runs[place, None, :]).any(axis=(1, 2))
            fresh = open_[~related]
            slots[fresh, have[fresh]] = place[~related]
            have[fresh] += 1
        if have.min(initial=count) < count:
            row = int(have.argmin())
            raise EngramError(
                f"prior.prefixes: sequence_id {some.sequence_id[row]} has {have[row]} unrelated "
                f"windows among {size}, {count} are asked for; take more documents, or fewer "
                f"prefixes"
            )
    return pool.tokens[chosen][:, :, :prefix]

"""A bound on the memory that the attention of a sample list takes: what exceeds it is in a scratch
file, mapped into memory.

Training reads rows in an epoch order that all CNNs of a seed share. A row of a large model is
hundreds of kilobytes in one piece, so that reading rows at random runs at the disk's speed, and the
operating system keeps as many of them as memory allows."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from engram.store.index import AttentionStore

log = logging.getLogger(__name__)

_BLOCK = 256
"""Sequences that are copied at a time, or fewer that have `_BYTES`."""
_BYTES = 2**28


class Memory:
    """Gives out memory for attention maps up to a bound.

    Args:
        megabytes: all maps together; those that would exceed it go to a file.
        scratch: folder of the files, which vanish with the process, however it ends.
    """

    def __init__(self, megabytes: int, scratch: Path) -> None:
        self.left, self.scratch = megabytes * 10**6, scratch

    def read(self, store: AttentionStore, sequence_ids: np.ndarray, pooling: str) -> np.ndarray:
        """Return what `store.read` gives, (n, L, P), in memory or a scratch file: the same values.

        Raises:
            EngramError: as `AttentionStore.read`.
        """
        first = store.read(sequence_ids[:1], pooling)  # (1, L, P)
        shape, size = (len(sequence_ids), *first.shape[1:]), first.nbytes * len(sequence_ids)
        if size <= self.left:
            self.left -= size
            return store.read(sequence_ids, pooling)
        log.info(
            "%s attention takes %d MB, more than the memory that is left: read from a scratch file",
            pooling,
            size / 1e6,
        )
        self.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.scratch) as file:
            maps = np.memmap(file, first.dtype, "w+", shape=shape)
        block = max(1, min(_BLOCK, _BYTES // first.nbytes))
        for start in tqdm(
            range(0, len(sequence_ids), block),
            desc=f"{pooling} attention",
            unit="block",
            mininterval=2,
        ):
            maps[start : start + block] = store.read(sequence_ids[start : start + block], pooling)
        return maps

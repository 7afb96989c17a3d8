"""Batches whose results are kept, so that a job that is killed computes none of them again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from engram.io.hashing import content_digest
from engram.io.parts import Parts, Piece
from engram.lm.models import in_batches

log = logging.getLogger(__name__)

PART_SECONDS = 30.0
"""Seconds after which finished batches are written: what a kill can cost."""


@dataclass(frozen=True)
class Kept:
    """Where the finished batches of a job are, and what decides their values."""

    folder: Path
    """Of the pieces; see `engram.io.parts`."""
    decided: str
    """Digest of the weights, the code and the settings. Texts and label of the batches are added to
    it."""

    def also(self, *values: str | np.ndarray) -> Kept:
        """Return the same, where these values decide as well."""
        return Kept(self.folder, content_digest(self.decided, *values))


def kept_batches(
    run: Callable[[slice], Sequence[np.ndarray]],
    texts: np.ndarray,
    batch_rows: int,
    label: str,
    device: torch.device,
    kept: Kept | None = None,
    rows: int | None = None,
    quiet: bool = False,
) -> Iterator[tuple[slice, Sequence[np.ndarray]]]:
    """Do as `engram.lm.models.in_batches`, and keep what is finished, every `PART_SECONDS`.

    Batches are computed in their order, so that those which an earlier job has left come first,
    with the rows that they had then.

    Args:
        run: from a slice to arrays.
        texts: what the batches are of, with `kept.decided` all that decides their values.
        batch_rows: rows of a batch at most.
        label: of the progress bar; batches of one job with different labels are kept apart.
        device: of the model.
        kept: None keeps nothing.
        rows: how many there are, unless it is a row per text.
        quiet: show no progress bar.

    Yields:
        each slice with its arrays, in order.

    Raises:
        EngramError: a single row does not fit, or a piece cannot be written.
    """
    count = len(texts) if rows is None else rows
    if kept is None:
        yield from in_batches(run, count, batch_rows, label, device, quiet)
        return
    parts = Parts(kept.folder / content_digest(kept.decided, label, str(count), texts))
    start = 0
    for part, arrays in _finished(parts):
        if part.start == start:
            yield part, arrays
            start = part.stop
    if start:
        log.info("%s: %d of %d rows are finished", label, start, count)
    fresh: list[tuple[slice, Sequence[np.ndarray]]] = []
    since = time.monotonic()

    def run_rest(part: slice) -> Sequence[np.ndarray]:
        return run(slice(start + part.start, start + part.stop))

    for relative, result in in_batches(run_rest, count - start, batch_rows, label, device, quiet):
        part = slice(start + relative.start, start + relative.stop)
        fresh.append((part, result))
        if time.monotonic() - since > PART_SECONDS:
            _write(parts, fresh)
            fresh, since = [], time.monotonic()
        yield part, result
    _write(parts, fresh)


def _finished(parts: Parts) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """Yield the batches of all pieces, by their first rows."""
    for key in parts.present():  # names begin with the first row, at full width
        if piece := parts.read(key):
            for number, (first, last, arrays) in enumerate(piece.metadata["batches"]):
                yield (
                    slice(first, last),
                    [piece.arrays[f"{number}/{position}"] for position in range(arrays)],
                )


def _write(parts: Parts, batches: Sequence[tuple[slice, Sequence[np.ndarray]]]) -> None:
    """Keep finished batches, in one piece."""
    if not batches:
        return
    names = [(part.start, part.stop, len(arrays)) for part, arrays in batches]
    arrays = {
        f"{number}/{position}": array
        for number, (_, values) in enumerate(batches)
        for position, array in enumerate(values)
    }
    parts.write(f"{names[0][0]:012d}-{names[-1][1]}", Piece(arrays, {"batches": names}))

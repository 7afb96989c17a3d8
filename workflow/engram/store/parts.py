"""Finished rows of attention, kept so that no job, grown pool or second study computes them twice.

The parts folder of a model holds attention files under any name. A row is found there by its key, a
hash of the tokens and of everything else its values depend on, so it serves any study and any
number of shards. Two jobs that compute the same row at once leave it twice, which harms nothing.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engram.io.errors import EngramError
from engram.io.schema import SCHEMA_VERSION
from engram.store.attention_file import KEY_BYTES, AttentionFile, DamagedRows

log = logging.getLogger(__name__)

STALE_SECONDS = 24 * 3600
"""A file that is still unfinished after a day was left by a killed job."""


def row_keys(tokens: np.ndarray, prefix: int, mean_dtype: str) -> list[bytes]:
    """Keys of sequences (n, T) of one model: equal keys mean equal rows, whatever study they belong
    to.
    """
    settings = f"schema {SCHEMA_VERSION}, prefix {prefix}, mean {mean_dtype};".encode()
    rows = np.ascontiguousarray(tokens, dtype="<i4")
    return [
        hashlib.blake2b(settings + row.tobytes(), digest_size=KEY_BYTES).digest() for row in rows
    ]


@dataclass(frozen=True)
class Place:
    """Where a row lies."""

    file: AttentionFile
    row: int


def read_places(places: Sequence[Place], pooling: str) -> np.ndarray:
    """Maps of rows of several files, (len(places), L, P), in the order asked for.

    Raises:
        DamagedRows: as `AttentionFile.read`.
    """
    by_file: dict[int, list[int]] = {}
    for position, place in enumerate(places):
        by_file.setdefault(id(place.file), []).append(position)
    maps: np.ndarray | None = None
    for positions in by_file.values():
        values = places[positions[0]].file.read(
            [places[position].row for position in positions], pooling
        )
        if maps is None:
            maps = np.empty((len(places), *values.shape[1:]), values.dtype)
        maps[positions] = values
    if maps is None:
        raise ValueError("no rows to read")
    return maps


class Parts:
    """The finished rows of one model.

    Args:
        folder: where they lie; made if it is not there.
        fingerprint: of the model; files of another one that have come into the folder are passed
            over.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder, self.fingerprint = folder, fingerprint
        folder.mkdir(parents=True, exist_ok=True)
        self._files: dict[Path, AttentionFile | None] = {}
        self._damaged: set[tuple[Path, int]] = set()
        for partial in folder.glob("*.partial"):
            if time.time() - _modified(partial) > STALE_SECONDS:
                partial.unlink(missing_ok=True)

    def locate(self, keys: Sequence[bytes]) -> dict[bytes, Place]:
        """The rows among `keys` that are finished, as the folder stands now. Unreadable files are
        passed over with a warning.
        """
        wanted, places = set(keys), {}
        for file in self._scan():
            for row, key in enumerate(file.keys):
                if key in wanted and (file.path, row) not in self._damaged:
                    places[key] = Place(file, row)
        return places

    def forget(self, error: DamagedRows) -> None:
        """Passes over rows that turned out to be damaged from now on, so that they are computed
        anew.
        """
        log.warning("%s: ignored, to be computed anew", error)
        if error.rows is None:
            self._files[error.path] = None
        else:
            self._damaged |= {(error.path, row) for row in error.rows}

    def remove_covered(self, shard: Path, keys: Sequence[bytes]) -> None:
        """Delete the files whose every row is in `shard`, a file in the folder with these keys."""
        covered = set(keys)
        for file in self._scan():
            if file.path != shard and covered.issuperset(file.keys):
                file.path.unlink(missing_ok=True)

    def _scan(self) -> list[AttentionFile]:
        """All readable files, each opened once."""
        present = sorted(self.folder.glob("*.h5"))
        for path in present:
            if path not in self._files:
                try:
                    opened = AttentionFile(path)
                    if opened.header.fingerprint != self.fingerprint:
                        raise EngramError(
                            f"{path}: it is of model {opened.header.model} "
                            f"({opened.header.fingerprint}), not {self.fingerprint}"
                        )
                    self._files[path] = opened
                except EngramError as error:
                    if path.exists():  # else another job has just removed it
                        log.warning("%s: ignored", error)
                    self._files[path] = None
        return [file for path in present if (file := self._files[path]) is not None]


def _modified(path: Path) -> float:
    """When a file was last written; now, if another job has just removed it."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()

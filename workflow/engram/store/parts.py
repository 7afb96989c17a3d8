"""Finished rows of attention, kept so that no job, grown pool or second study computes them twice.

The folder of a model holds pieces of `engram.io.parts`, written while an extraction runs, and the
shards that were put together from them (an attention file, the same bytes as the shard in the
results). A row is found in either by its key, a hash of the tokens and of everything else its
values depend on, so it serves any study and any number of shards."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engram.io.errors import EngramError
from engram.io.hashing import content_digest
from engram.io.parts import OpenPiece, Parts, Piece
from engram.io.schema import SCHEMA_VERSION
from engram.store.attention_file import (
    COLUMNS,
    KEY_BYTES,
    POOLINGS,
    AttentionFile,
    DamagedRows,
    Header,
    check_space,
)

log = logging.getLogger(__name__)


def row_keys(tokens: np.ndarray, prefix: int, mean_dtype: str, block: int = 1) -> list[bytes]:
    """Return keys of sequences (n, T) of one model: equal keys mean equal rows, whatever study they
    belong to.
    """
    blockwise = f", block {block}" * (block > 1)
    settings = f"schema {SCHEMA_VERSION}, prefix {prefix}, mean {mean_dtype}{blockwise};".encode()
    rows = np.ascontiguousarray(tokens, dtype="<i4")
    return [
        hashlib.blake2b(settings + row.tobytes(), digest_size=KEY_BYTES).digest() for row in rows
    ]


def key_matrix(keys: Sequence[bytes]) -> np.ndarray:
    """Return keys as an array (n, 16) uint8."""
    return np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), KEY_BYTES)


class RowPiece:
    """Rows of a running extraction, read like an attention file.

    Args:
        piece: of `FinishedRows.write`.

    Raises:
        EngramError: its header or columns are damaged.
    """

    def __init__(self, piece: OpenPiece) -> None:
        self.path, self._piece = piece.path, piece
        self.header = Header.of(piece.metadata)
        self.columns = piece.read("key", *COLUMNS)

    def __len__(self) -> int:
        return len(self.columns["key"])

    @property
    def keys(self) -> list[bytes]:
        """The key of each row."""
        return [key.tobytes() for key in self.columns["key"]]

    def read(self, rows: Sequence[int], pooling: str) -> np.ndarray:
        """Return maps of some rows, (len(rows), L, P).

        Raises:
            DamagedRows: the piece is damaged.
        """
        try:
            return self._piece.read(pooling)[pooling][np.asarray(rows)]
        except EngramError as error:
            raise DamagedRows(self.path, None, str(error)) from None


@dataclass(frozen=True)
class Place:
    """Where a row is."""

    file: AttentionFile | RowPiece
    row: int


def by_file(places: Sequence[Place]) -> list[tuple[AttentionFile | RowPiece, list[int]]]:
    """Return each file with the positions in `places` of the rows that it holds."""
    positions: dict[int, list[int]] = {}
    for position, place in enumerate(places):
        positions.setdefault(id(place.file), []).append(position)
    return [(places[some[0]].file, some) for some in positions.values()]


def read_places(places: Sequence[Place], pooling: str) -> np.ndarray:
    """Return maps of rows of several files, (len(places), L, P), in the order asked for.

    Raises:
        DamagedRows: as `AttentionFile.read`.
    """
    maps: np.ndarray | None = None
    for file, positions in by_file(places):
        values = file.read([places[position].row for position in positions], pooling)
        if maps is None:
            maps = np.empty((len(places), *values.shape[1:]), values.dtype)
        maps[positions] = values
    if maps is None:
        raise ValueError("no rows to read")
    return maps


class FinishedRows:
    """The finished rows of one model.

    Args:
        folder: where they are.
        fingerprint: of the model; files of another one that have come into the folder are passed
            over.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder, self.fingerprint = folder, fingerprint
        self._pieces = Parts(folder)
        self._files: dict[Path, AttentionFile | RowPiece | None] = {}
        self._damaged: set[tuple[Path, int]] = set()

    def write(self, header: Header, keys: Sequence[bytes], rows: Mapping[str, np.ndarray]) -> None:
        """Keep rows that an extraction has finished.

        Args:
            header: of all of them.
            keys: of the n rows.
            rows: `max` and `mean`, (n, L, P) each, and the columns of `COLUMNS`, (n,) each.

        Raises:
            EngramError: they cannot be written, for lack of space for instance.
        """
        piece = content_digest(b"".join(keys))
        check_space(self._pieces.path(piece), header.bytes_of(len(keys)))
        types = header.arrays(len(keys))
        arrays = {
            name: np.asarray(rows[name], types[name][1]) for name in (*POOLINGS, *COLUMNS)
        } | {"key": key_matrix(keys)}
        self._pieces.write(piece, Piece(arrays, header.attributes()))
        self._files.pop(self._pieces.path(piece), None)  # it may have been a damaged one

    def locate(self, keys: Sequence[bytes]) -> dict[bytes, Place]:
        """Return the rows among `keys` that are finished, as the folder is now.

        Unreadable files are passed over with a warning.
        """
        wanted, places = set(keys), {}
        for file in self._scan():
            for row, key in enumerate(file.keys):
                if key in wanted and (file.path, row) not in self._damaged:
                    places[key] = Place(file, row)
        return places

    def forget(self, error: DamagedRows) -> None:
        """Pass over rows that turned out to be damaged from now on, so that they are computed
        again.
        """
        log.warning("%s: passed over, computed again", error)
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

    def _scan(self) -> list[AttentionFile | RowPiece]:
        """Return all readable files, each opened once."""
        present = [
            *map(self._pieces.path, self._pieces.present()),
            *sorted(self.folder.glob("[!.]*.h5")),
        ]
        for path in present:
            if path not in self._files:
                self._files[path] = self._open(path)
        return [file for path in present if (file := self._files[path]) is not None]

    def _open(self, path: Path) -> AttentionFile | RowPiece | None:
        try:
            file = AttentionFile(path) if path.suffix == ".h5" else RowPiece(OpenPiece(path))
            if file.header.fingerprint != self.fingerprint:
                raise EngramError(
                    f"{path}: it is of model {file.header.model} ({file.header.fingerprint}), not "
                    f"{self.fingerprint}"
                )
            return file
        except EngramError as error:
            if path.exists():  # else another job has just removed it
                log.warning("%s: passed over", error)
            return None

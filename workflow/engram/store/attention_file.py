"""Attention files: rows of pooled attention in one HDF5 file, each with its checksum.

`max` and `mean` have a chunk per row, so that a row is one piece of the disk, read in half the time
that a selection takes; compression would gain a tenth on attention and cost every reader. The
CRC-32 of each row's maps is in a column, and is checked whenever the row is read."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from engram.io.checksums import BROKEN
from engram.io.errors import EngramError, reason
from engram.io.hdf5 import new_hdf5, open_hdf5, read_group, write_group
from engram.io.spans import Spans

POOLINGS = ("max", "mean")
KEY_BYTES = 16

COLUMNS = {
    "sequence_id": np.dtype(np.int64),
    "extracted": np.dtype(bool),
    "matched_fraction": np.dtype(np.float32),
    "suffix_log_prob": np.dtype(np.float32),
}
"""The columns of a file in addition to keys, maps and checksums."""

AGAIN = "delete the file and run again, finished rows are kept"


class DamagedRows(EngramError):
    """Rows whose maps do not match the checksum they were written with, or cannot be read.

    Args:
        path: the file.
        rows: their positions in it; None when the whole file cannot be read.
        message: for the user.
    """

    def __init__(self, path: Path, rows: Sequence[int] | None, message: str) -> None:
        super().__init__(message)
        self.path, self.rows = path, rows


@dataclass(frozen=True)
class Header:
    """What all rows of an attention file have in common."""

    model: str
    """Name and revision of the model."""
    fingerprint: str
    """Of the model's weights and precision, `engram.lm.models.fingerprint`."""
    dtype: str
    """The precision the model ran in."""
    prefix: int
    """Tokens of the prompt."""
    suffix: int
    """Tokens after it."""
    layers: int
    heads: int
    """Heads per layer that were pooled."""
    mean_dtype: str
    """Precision of the stored mean maps, float16 or float32; max maps are float16."""
    opening: tuple[int, ...] = ()
    """Special tokens that the model read in front of every window (`engram.lm.inputs`): the first
    rows and columns of its maps."""
    block: int = 1
    """Tokens of every other row and column, see `engram.io.spans`."""

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Header:
        """Return the header that `attributes` describes."""
        return cls(**{**attributes, "opening": tuple(attributes.get("opening", ()))})

    def attributes(self) -> dict[str, Any]:
        """Return the header as a file stores it; an empty opening and blocks of one token are left
        out.
        """
        values = {**vars(self), "opening": list(self.opening)}
        plain = {"opening": [], "block": 1}
        return {k: value for k, value in values.items() if k not in plain or value != plain[k]}

    @property
    def spans(self) -> Spans:
        """The tokens of every row of a map."""
        return Spans(len(self.opening), self.prefix, self.suffix, self.block)

    @property
    def packed(self) -> int:
        """P, the values of one packed map."""
        return self.spans.packed

    def read_tokens(self, tokens: np.ndarray) -> np.ndarray:
        """Return what the model read of windows, (n, T) -> (n, B + T)."""
        return behind(self.opening, tokens)

    def arrays(self, rows: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Return shape and type of every array of a file of `rows` rows."""
        maps = (rows, self.layers, self.packed)
        return {
            "max": (maps, np.dtype(np.float16)),
            "mean": (maps, np.dtype(self.mean_dtype)),
            "key": ((rows, KEY_BYTES), np.dtype(np.uint8)),
            **{name: ((rows,), dtype) for name, dtype in COLUMNS.items()},
            **{f"{pooling}_crc32": ((rows,), np.dtype(np.uint32)) for pooling in POOLINGS},
        }

    def bytes_of(self, rows: int) -> int:
        """Return what `rows` rows take in a file: their arrays, and where each chunk is."""
        return 8 * rows * len(POOLINGS) + sum(
            int(np.prod(shape)) * dtype.itemsize for shape, dtype in self.arrays(rows).values()
        )


def behind(opening: Sequence[int], tokens: np.ndarray) -> np.ndarray:
    """Return windows behind the tokens of an opening, (n, T) -> (n, B + T)."""
    if not opening:
        return tokens
    first = np.tile(np.array(opening, tokens.dtype), (len(tokens), 1))
    return np.concatenate([first, tokens], axis=1)


class AttentionWriter:
    """Fills an attention file of a known number of rows; made by `new_attention_file`."""

    def __init__(self, file: h5py.File, rows: int, header: Header) -> None:
        self.columns: dict[str, np.ndarray] = {}
        self._maps: dict[str, h5py.Dataset] = {}
        self._written = np.zeros(rows, bool)
        for name, (shape, dtype) in header.arrays(rows).items():
            if name in POOLINGS:
                chunks = (1, *shape[1:]) if rows else None
                self._maps[name] = file.create_dataset(name, shape, dtype, chunks=chunks)
            else:
                self.columns[name] = np.zeros(shape, dtype)

    def write(
        self, rows: Sequence[int], maps: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray]
    ) -> None:
        """Write some rows.

        Args:
            rows: their b positions in the file.
            maps: `max` and `mean`, (b, L, P) each.
            columns: `key` (b, 16) uint8 and the columns of `COLUMNS`, (b,) each.
        """
        for pooling, dataset in self._maps.items():
            values = np.ascontiguousarray(maps[pooling], dataset.dtype)
            for row, value in zip(rows, values, strict=True):
                dataset.id.write_direct_chunk((row, 0, 0), value)
                self.columns[f"{pooling}_crc32"][row] = zlib.crc32(value.data)
        for name in ("key", *COLUMNS):
            self.columns[name][rows] = columns[name]
        self._written[rows] = True

    def check(self) -> None:
        """Check that all rows were written.

        Raises:
            ValueError: some were not.
        """
        if not self._written.all():
            raise ValueError(f"{self._written.sum()} of {len(self._written)} rows were written")


@contextmanager
def new_attention_file(path: Path, rows: int, header: Header) -> Iterator[AttentionWriter]:
    """Write an attention file that appears under `path` after the block, whole, or not at all.

    Raises:
        EngramError: it cannot be written, for lack of space for instance.
    """
    check_space(path, header.bytes_of(rows))
    with new_hdf5(path) as file:
        writer = AttentionWriter(file, rows, header)
        yield writer
        writer.check()
        write_group(file, writer.columns, header.attributes())


def check_space(path: Path, needed: int) -> None:
    """Check that a file of `needed` bytes fits on the disk of `path`, before it is written.

    Raises:
        EngramError: it does not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    needed += 2**16  # what a file takes in addition to its rows
    if (free := shutil.disk_usage(path.parent).free) < needed:
        raise EngramError(
            f"{path}: cannot be written, it takes {needed / 1e6:,.1f} MB and {free / 1e6:,.1f} MB "
            f"are free; make room and run again"
        )


class AttentionFile:
    """A finished attention file: its header and columns in memory, its maps read on demand.

    Args:
        path: the file.

    Raises:
        EngramError: no such file, not a whole attention file, another schema version, or a damaged
            header.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_hdf5(path) as file:
            self.columns, attributes = read_group(file, apart=POOLINGS)
            found = {name: (dataset.shape, dataset.dtype) for name, dataset in file.items()}
        try:
            self.header = Header.of(attributes)
            whole = found == self.header.arrays(len(self))
        except (TypeError, KeyError):
            whole = False
        if not whole:
            raise EngramError(f"{path}: it does not have the arrays of an attention file; {AGAIN}")

    def __len__(self) -> int:
        return len(self.columns["key"])

    @property
    def keys(self) -> list[bytes]:
        """The key of each row."""
        return [key.tobytes() for key in self.columns["key"]]

    def read(self, rows: Sequence[int], pooling: str) -> np.ndarray:
        """Return maps of some rows, (len(rows), L, P), each checked.

        Args:
            rows: positions in the file, in any order.
            pooling: `max` or `mean`.

        Raises:
            DamagedRows: a row does not match its checksum, or the file is gone or cut off.
        """
        shape, dtype = self.header.arrays(len(self))[pooling]
        checksums = self.columns[f"{pooling}_crc32"]
        maps = np.empty((len(rows), *shape[1:]), dtype)
        raw = maps.reshape(len(rows), -1).view(np.uint8)
        damaged = []
        try:
            with h5py.File(self.path, "r", locking=False) as file:
                dataset = file[pooling].id
                for place in np.argsort(rows, kind="stable").tolist():  # in the order of the disk
                    row = int(rows[place])
                    dataset.read_direct_chunk((row, 0, 0), out=raw[place])
                    if zlib.crc32(raw[place]) != checksums[row]:
                        damaged.append(row)
        except BROKEN as error:
            raise DamagedRows(
                self.path, None, f"{self.path}: cannot be read ({reason(error)}); {AGAIN}"
            ) from None
        if damaged:
            first = self.columns["sequence_id"][damaged[0]]
            raise DamagedRows(
                self.path,
                damaged,
                f"{self.path}: {pooling} attention of {len(damaged)} rows does not match its "
                f"checksum, the first is row {damaged[0]} (sequence_id {first}); {AGAIN}",
            )
        return maps

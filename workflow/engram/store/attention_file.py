"""Attention files: rows of pooled attention in one HDF5 file, each with its checksum. Shards and
parts have this layout.

Every array is contiguous, so that a row is one read at a known offset; compression would gain a
tenth on attention and cost every reader. Each row carries a CRC-32 of its maps, and the header one
of everything else: damage is found when it is read. A file is written beside its name and renamed:
whole or not there.

HDF5 itself only lays the file out. The values are written around it, because a write that fails
inside the library, on a full disk, leaves a file that cannot be closed.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from engram.io.artifacts import whole
from engram.io.checksums import BROKEN, check_file, seal_file
from engram.io.errors import EngramError, reason
from engram.io.packing import packed_length
from engram.io.schema import SCHEMA_VERSION

POOLINGS = ("max", "mean")
KEY_BYTES = 16

COLUMNS = {
    "sequence_id": np.dtype(np.int64),
    "extracted": np.dtype(bool),
    "matched_fraction": np.dtype(np.float32),
    "suffix_log_prob": np.dtype(np.float32),
}
"""The columns of a file besides keys and maps; `sequence_id` is -1 in parts, which know sequences
by their tokens alone.
"""

AGAIN = "delete the file and run again, finished rows are kept"


class DamagedRows(EngramError):
    """Rows whose maps do not have the checksum they were written with, or cannot be read.

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

    @property
    def packed(self) -> int:
        """P, the values of one packed map."""
        return packed_length(self.prefix + self.suffix)

    def arrays(self, rows: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Shape and type of every array of a file of `rows` rows."""
        maps = (rows, self.layers, self.packed)
        return {
            "max": (maps, np.dtype(np.float16)),
            "mean": (maps, np.dtype(self.mean_dtype)),
            "key": ((rows, KEY_BYTES), np.dtype(np.uint8)),
            **{name: ((rows,), dtype) for name, dtype in COLUMNS.items()},
            **{f"{pooling}_crc32": ((rows,), np.dtype(np.uint32)) for pooling in POOLINGS},
            "header_crc32": ((1,), np.dtype(np.uint32)),
        }


class AttentionWriter:
    """Fills an attention file of a known number of rows; made by `new_attention_file`."""

    def __init__(
        self, file: IO[bytes], offsets: Mapping[str, int], rows: int, header: Header
    ) -> None:
        self.file, self.offsets, self.header, self.filled = file, offsets, header, 0
        self.arrays = header.arrays(rows)
        self.columns = {
            name: np.zeros(*array)
            for name, array in self.arrays.items()
            if name not in (*POOLINGS, "header_crc32")
        }

    def append(self, maps: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray]) -> None:
        """Appends rows.

        Args:
            maps: `max` and `mean`, (b, L, P) each.
            columns: `key` (b, 16) uint8 and the columns of `COLUMNS`, (b,) each.
        """
        start = self.filled
        self.filled += len(columns["key"])
        for pooling in POOLINGS:
            values = np.ascontiguousarray(maps[pooling], dtype=self.arrays[pooling][1])
            self._write(pooling, values, start * values[0].nbytes)
            self.columns[f"{pooling}_crc32"][start : self.filled] = [
                zlib.crc32(row.data) for row in values
            ]
        for name in ("key", *COLUMNS):
            self.columns[name][start : self.filled] = columns[name]

    def close(self) -> None:
        """Writes the columns and the header's checksum."""
        if self.filled != len(self.columns["key"]):
            raise ValueError(f"{self.filled} of {len(self.columns['key'])} rows were appended")
        for name, column in self.columns.items():
            if self.filled:
                self._write(name, column)
        self._write(
            "header_crc32",
            np.array([_header_checksum(_attributes(self.header), self.columns)], np.uint32),
        )

    def _write(self, name: str, values: np.ndarray, start: int = 0) -> None:
        self.file.seek(self.offsets[name] + start)
        self.file.write(values.reshape(-1).view(np.uint8).data)


@contextmanager
def new_attention_file(path: Path, rows: int, header: Header) -> Iterator[AttentionWriter]:
    """Writes an attention file that appears under `path` after the block, whole, or not at all.

    Raises:
        EngramError: it cannot be written, for want of space for instance.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = header.arrays(rows)
    needed = sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in arrays.values()) + 2**16
    if (free := shutil.disk_usage(path.parent).free) < needed:
        raise EngramError(
            f"{path}: cannot be written, it takes {needed / 1e6:,.1f} MB and {free / 1e6:,.1f} MB "
            f"are free; make room and run again"
        )
    try:
        with whole(path) as temporary:
            offsets = _lay_out(temporary, arrays, _attributes(header))
            with temporary.open("r+b") as file:
                writer = AttentionWriter(file, offsets, rows, header)
                yield writer
                writer.close()
            sizes = {
                name: int(np.prod(arrays[name][0])) * arrays[name][1].itemsize for name in POOLINGS
            }
            seal_file(temporary, [(offsets[name], sizes[name]) for name in POOLINGS if sizes[name]])
    except OSError as error:
        raise EngramError(
            f"{path}: cannot be written ({error.strerror or error}); mend that and run again"
        ) from error


class AttentionFile:
    """A finished attention file: its header and columns in memory, its maps read on demand.

    Raises:
        EngramError: no such file, not a whole HDF5 file, another schema version, or a damaged
            header.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            check_file(path)
            with h5py.File(path, "r", locking=False) as file:
                attributes = {
                    name: value.item() if isinstance(value, np.generic) else value
                    for name, value in file.attrs.items()
                }
                if (version := attributes.get("schema_version")) != SCHEMA_VERSION:
                    raise EngramError(
                        f"{path}: schema version {version}, this Engram reads {SCHEMA_VERSION}; "
                        f"delete the file to have it made anew"
                    )
                found = {name: (dataset.shape, dataset.dtype) for name, dataset in file.items()}
                offsets = {name: file[name].id.get_offset() for name in POOLINGS}
                columns = {name: file[name][:] for name in found if name not in POOLINGS}
            if columns.pop("header_crc32") != _header_checksum(attributes, columns):
                raise EngramError(f"{path}: the header does not match its checksum; {AGAIN}")
        except FileNotFoundError:
            raise EngramError(f"{path}: no such file") from None
        except BROKEN as error:
            raise EngramError(
                f"{path}: not a whole attention file ({reason(error)}); {AGAIN}"
            ) from None
        del attributes["schema_version"]
        self.header = Header(**attributes)
        self.columns = columns
        self._offsets = offsets
        self._arrays = self.header.arrays(len(self))
        if found != self._arrays:
            raise EngramError(
                f"{path}: its arrays are not those that its header describes; {AGAIN}"
            )

    def __len__(self) -> int:
        return len(self.columns["key"])

    @property
    def keys(self) -> list[bytes]:
        """The key of each row."""
        return [key.tobytes() for key in self.columns["key"]]

    def read(self, rows: Sequence[int], pooling: str) -> np.ndarray:
        """Maps of some rows, (len(rows), L, P), each checked.

        Args:
            rows: positions in the file, in any order.
            pooling: `max` or `mean`.

        Raises:
            DamagedRows: a row does not match its checksum, or the file is gone or cut off.
        """
        offset, (shape, dtype) = self._offsets[pooling], self._arrays[pooling]
        maps = np.empty((len(rows), *shape[1:]), dtype)
        size = dtype.itemsize * int(np.prod(shape[1:]))
        damaged = []
        try:
            with self.path.open("rb") as file:
                for place in np.argsort(rows, kind="stable"):  # in the order of the disk
                    row = int(rows[place])
                    file.seek(offset + row * size)
                    values = maps[place].reshape(-1).view(np.uint8)
                    if (
                        file.readinto(values) != size
                        or zlib.crc32(values) != self.columns[f"{pooling}_crc32"][row]
                    ):
                        damaged.append(row)
        except OSError as error:
            raise DamagedRows(
                self.path, None, f"{self.path}: cannot be read ({error.strerror})"
            ) from None
        if damaged:
            first = self.columns["sequence_id"][damaged[0]]
            raise DamagedRows(
                self.path,
                damaged,
                f"{self.path}: {pooling} attention of {len(damaged)} rows does not match its "
                f"checksum, the first is row {damaged[0]} "
                f"(sequence_id {first}); {AGAIN}",
            )
        return maps


def _attributes(header: Header) -> dict[str, Any]:
    return {"schema_version": SCHEMA_VERSION, **vars(header)}


def _lay_out(
    path: Path,
    arrays: Mapping[str, tuple[tuple[int, ...], np.dtype]],
    attributes: Mapping[str, Any],
) -> dict[str, int]:
    """Writes an HDF5 file with space for the arrays, and returns the offset of each; arrays without
    values have none.
    """
    try:
        with h5py.File(path, "w", locking=False) as file:
            for name, value in attributes.items():
                file.attrs[name] = value
            space = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            space.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            space.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            for name, (shape, dtype) in arrays.items():
                kind = h5py.h5t.py_create(dtype, logical=True)
                h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple(shape), space)
            return {name: file[name].id.get_offset() for name in arrays}
    except RuntimeError as error:  # what h5py makes of a disk that is full when the file is closed
        full = "No space left" in str(error)
        raise OSError(
            errno.ENOSPC if full else errno.EIO, os.strerror(errno.ENOSPC if full else errno.EIO)
        ) from error


def _header_checksum(attributes: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> int:
    checksum = zlib.crc32(json.dumps(attributes, sort_keys=True).encode())
    for name in sorted(columns):
        checksum = zlib.crc32(np.ascontiguousarray(columns[name]).data, checksum)
    return checksum

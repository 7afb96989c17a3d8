"""HDF5 files: whole or absent, and safe to open when they are damaged.

They are plain HDF5, written with h5py alone. Two choices make damage an error. The format is that
of HDF5 1.10, which has a checksum for every piece of the file's structure, and strings have a fixed
length. (Strings of variable length have none: some bits flipped there changed a value, and some
made HDF5 run forever.) The values have CRC-32 checksums written here, because HDF5's `fletcher32`
filter accepts a chunk that has become zeros."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from engram.io.artifacts import whole
from engram.io.checksums import BROKEN, DAMAGED, named_crc
from engram.io.errors import EngramError, reason, unwritable
from engram.io.schema import SCHEMA_VERSION

VERSION, CHECKSUM = "schema_version", "crc32"
"""Attributes of a file, and of everything that `write_group` wrote."""
_FORMAT = ("v110", "v110")


class _Disk(io.FileIO):
    """A file that keeps the first error of writing and accepts everything after it.

    HDF5 cannot close a file once a write has failed, and crashes the process at its end."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data)
        try:
            while rest and self.failure is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = error
        return len(data)


@contextmanager
def new_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """Write an HDF5 file that appears under `path` after the block, whole, or not at all.

    Raises:
        EngramError: it cannot be written, on a full disk for instance.
    """
    try:
        with whole(path) as temporary, _Disk(temporary, "w+") as disk:
            try:
                with h5py.File(disk, "w", libver=_FORMAT) as file:
                    file.attrs[VERSION] = _encoded(SCHEMA_VERSION)
                    yield file
            finally:
                if disk.failure:
                    raise disk.failure
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def open_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """Open a file that `new_hdf5` wrote, to read from it.

    Raises:
        EngramError: no such file, another schema version, or one that cannot be read.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            if (version := file.attrs.get(VERSION)) != SCHEMA_VERSION:
                raise EngramError(
                    f"{path}: schema version {version}, this Engram reads {SCHEMA_VERSION}; delete "
                    f"the file and run again"
                )
            yield file
    except FileNotFoundError:
        raise EngramError(f"{path}: no such file") from None
    except BROKEN as error:
        raise EngramError(
            f"{path}: cannot be read ({reason(error)}); delete the file and run again"
        ) from None


def write_group(
    group: h5py.Group,
    arrays: Mapping[str, Any],
    attributes: Mapping[str, Any],
    **storage: Any,
) -> None:
    """Write arrays and attributes into a group, or the file itself, with a checksum over both.

    Args:
        group: where to write.
        arrays: data sets by name; text is stored as UTF-8 of a fixed length.
        attributes: numbers, text, or lists of either.
        storage: filters of the data sets, such as `compression`.
    """
    stored = {name: _encoded(array) for name, array in arrays.items()}
    described = {name: _encoded(value) for name, value in attributes.items()}
    for name, array in stored.items():
        group.create_dataset(name, data=array, **storage)
    for name, value in described.items():
        group.attrs.create(name, value, dtype=value.dtype)
    group.attrs[CHECKSUM] = np.uint32(_crc(stored, described))


def read_group(
    group: h5py.Group, apart: Collection[str] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arrays and attributes that `write_group` wrote.

    Args:
        group: where to read.
        apart: data sets of the group that were written on their own; they are not read.

    Raises:
        EngramError: they do not match their checksum.
    """
    stored = {name: group[name][()] for name in group if name not in apart}
    described = {name: np.asarray(value) for name, value in group.attrs.items() if name != VERSION}
    if described.pop(CHECKSUM, None) != _crc(stored, described):
        raise EngramError(f"{group.file.filename}: {DAMAGED}")
    return (
        {name: _decoded(array) for name, array in stored.items()},
        {name: _decoded(value).tolist() for name, value in described.items()},
    )


def _crc(stored: Mapping[str, np.ndarray], described: Mapping[str, np.ndarray]) -> int:
    return named_crc([*sorted(stored.items()), *sorted(described.items())])


def _encoded(value: Any) -> np.ndarray:
    """Return a value as HDF5 stores it: text as UTF-8 of a fixed length."""
    array = np.asarray(value)
    if array.dtype.kind != "U":
        return array
    encoded = np.char.encode(array, "utf-8")
    return encoded.astype(h5py.string_dtype("utf-8", encoded.dtype.itemsize))


def _decoded(array: np.ndarray) -> np.ndarray:
    return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array

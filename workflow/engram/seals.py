"""Seals: checksums inside parquet and HDF5 files, so that a flipped bit or another file's content is an error and never a number.

A sealed parquet file is one that every reader of parquet reads. Twelve bytes stand before its footer, which readers find from the end:
`ECRC`, the CRC-32 of all bytes before them, and the CRC-32 of all bytes after them. Its schema says under which name it was written;
that also tells a file that has lost its seal from one that never had it, as another program's. A group of an HDF5 file is sealed by an
attribute, the CRC-32 of its other attributes and its arrays.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from engram.errors import EngramError, reason

NAME_KEY = b"engram_file"
"""Where the schema of a sealed parquet file holds the name of the file."""
ATTRIBUTE = "crc32"
BROKEN = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError)
"""What h5py and safetensors raise for a broken file; which of them depends on the byte that is wrong."""
DAMAGED = "its content does not match its checksum; delete the file to have it made anew"
_SEAL = struct.Struct("<4sII")
_MARK = b"ECRC"
_TAIL = 8
"""Bytes after a parquet footer: its length and `PAR1`."""
_CHUNK = 1 << 20


def seal_parquet(path: Path) -> None:
    """Seals a whole parquet file in place."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        footer = _footer(file, size)
        start = size - len(footer)
        seal = _SEAL.pack(_MARK, _crc(file, start), zlib.crc32(footer))
        file.seek(start)
        file.write(seal + footer)


def check_footer(path: str | Path, metadata: Mapping[bytes, bytes]) -> None:
    """Whether the schema of a sealed parquet file is as it was written, and of the file that is called so.

    Args:
        path: the file.
        metadata: of its schema.

    Raises:
        EngramError: it is not.
    """
    _checked(Path(path), metadata, data=False)


def check_parquet(path: str | Path, metadata: Mapping[bytes, bytes]) -> None:
    """As `check_footer`, and whether all its rows are as they were written."""
    _checked(Path(path), metadata, data=True)


def _checked(path: Path, metadata: Mapping[bytes, bytes], data: bool) -> None:
    name = metadata.get(NAME_KEY)
    with path.open("rb") as file:
        size = file.seek(0, 2)
        footer = _footer(file, size)
        start = max(0, size - len(footer) - _SEAL.size)
        file.seek(start)
        mark, of_data, of_footer = _SEAL.unpack(file.read(_SEAL.size).ljust(_SEAL.size))
        if mark != _MARK and name is None:
            return  # never sealed
        whole = mark == _MARK and of_footer == zlib.crc32(footer) and name is not None
        if not whole or (data and of_data != _crc(file, start)):
            raise EngramError(f"{path}: {DAMAGED}")
    if name != path.name.encode():
        raise EngramError(f"{path}: it holds a file that was written as {(name or b'').decode()}; delete it to have the right one made")


def _footer(file: IO[bytes], size: int) -> bytes:
    """The footer with its length and mark; less where the length is nonsense."""
    file.seek(max(0, size - _TAIL))
    length = int.from_bytes(file.read(4), "little") + _TAIL
    file.seek(max(0, size - length))
    return file.read()


def _crc(file: IO[bytes], end: int) -> int:
    """CRC-32 of the first `end` bytes."""
    file.seek(0)
    found = 0
    while end > 0 and (chunk := file.read(min(_CHUNK, end))):
        found, end = zlib.crc32(chunk, found), end - len(chunk)
    return found


def seal_group(group: Any) -> None:
    """Seals a group of an open HDF5 file; its subgroups have seals of their own."""
    group.attrs[ATTRIBUTE] = np.uint32(_group_crc(group))


def check_group(path: Path, group: Any) -> None:
    """Whether the attributes and arrays of a group are as they were sealed.

    Raises:
        EngramError: they are not.
    """
    if group.attrs.get(ATTRIBUTE) != _group_crc(group):
        raise EngramError(f"{path}: {group.name}: {DAMAGED}")


@contextmanager
def open_sealed(path: Path) -> Iterator[Any]:
    """An HDF5 file whose root group is sealed, to read from.

    Raises:
        EngramError: it cannot be read, or is damaged.
    """
    import h5py  # most of what is sealed is parquet

    try:
        with h5py.File(path, "r") as file:
            check_group(path, file)
            yield file
    except BROKEN as error:
        raise EngramError(f"{path}: cannot be read ({reason(error)}); delete the file to have it made anew") from None


def _group_crc(group: Any) -> int:
    attributes = {name: value for name, value in group.attrs.items() if name != ATTRIBUTE}
    arrays = {name: item[()] for name, item in group.items() if hasattr(item, "shape")}
    return named_crc([*sorted(attributes.items()), *sorted(arrays.items())])


def named_crc(values: Iterable[tuple[str, Any]]) -> int:
    """CRC-32 over names and values: arrays by type, shape and bytes, anything else by its text."""
    found = 0
    for name, value in values:
        array = np.asarray(value)
        content = repr(array.tolist()).encode() if array.dtype.kind in "OUS" else np.ascontiguousarray(array).tobytes()
        found = zlib.crc32(f"{name} {array.dtype.kind} {array.shape} ".encode(errors="replace") + content, found)
    return found

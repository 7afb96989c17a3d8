"""Checksums: a flipped bit or another file's content is an error and never a number.

Every reader of parquet reads a sealed parquet file. Its last twelve bytes before the footer, which
readers find from the end, are the seal: `ECRC`, the CRC-32 of all bytes before them, and the CRC-32
of all bytes after them. Its schema holds the name under which it was written, which also separates
a file that has lost its seal from one that another program wrote."""

# Arrow's page checksums cannot replace the seal: they cover pages alone. They found all of 11,000
# bits flipped in pages, but of 10,000 flipped in a footer 169 changed columns, types or metadata
# without an error.

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from engram.io.errors import EngramError

NAME_KEY = b"engram_file"
"""Where the schema of a sealed parquet file holds the name of the file."""
BROKEN = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError)
"""What h5py and safetensors raise for a broken file; the wrong byte decides which of them."""
DAMAGED = "its content does not match its checksum; delete the file and run again"
_SEAL = struct.Struct("<4sII")
_MARK = b"ECRC"
_TAIL = 8
"""Bytes after a parquet footer: its length and `PAR1`."""
_CHUNK = 1 << 20


def seal_parquet(path: Path) -> None:
    """Seal a whole parquet file in place."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        footer = _footer(file, size)
        start = size - len(footer)
        seal = _SEAL.pack(_MARK, _crc(file, start), zlib.crc32(footer))
        file.seek(start)
        file.write(seal + footer)


def check_parquet(path: Path, data: bool) -> bool:
    """Return whether a parquet file is sealed, before anything in it is interpreted: a wrong byte
    can make a reader of the format hang.

    Args:
        path: the file.
        data: whether the rows are checked too, and not the schema alone.

    Raises:
        EngramError: it is sealed, and differs from what was written.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        footer = _footer(file, size)
        start = max(0, size - len(footer) - _SEAL.size)
        file.seek(start)
        mark, of_data, of_footer = _SEAL.unpack(file.read(_SEAL.size).ljust(_SEAL.size))
        if mark != _MARK:
            return False
        if of_footer != zlib.crc32(footer) or (data and of_data != _crc(file, start)):
            raise EngramError(f"{path}: {DAMAGED}")
    return True


def check_name(path: Path, sealed: bool, metadata: Mapping[bytes, bytes]) -> None:
    """Check that a parquet file is the one that was written under this name.

    Args:
        path: the file.
        sealed: what `check_parquet` returned.
        metadata: of its schema.

    Raises:
        EngramError: it is another file, or has lost its seal.
    """
    name = metadata.get(NAME_KEY)
    if sealed != (name is not None):
        raise EngramError(f"{path}: {DAMAGED}")
    if name is not None and name != path.name.encode():
        raise EngramError(
            f"{path}: it holds a file that was written as {name.decode()}; delete it and run again"
        )


def _footer(file: IO[bytes], size: int) -> bytes:
    """Return the footer with its length and mark; less where the length makes no sense."""
    file.seek(max(0, size - _TAIL))
    length = int.from_bytes(file.read(4), "little") + _TAIL
    file.seek(max(0, size - length))
    return file.read()


def _crc(file: IO[bytes], end: int) -> int:
    """Return the CRC-32 of the first `end` bytes."""
    file.seek(0)
    crc = 0
    while end > 0 and (chunk := file.read(min(_CHUNK, end))):
        crc, end = zlib.crc32(chunk, crc), end - len(chunk)
    return crc


def named_crc(values: Iterable[tuple[str, Any]]) -> int:
    """Return the CRC-32 over names and values: arrays by type, shape and bytes, anything else by
    its text.
    """
    crc = 0
    for name, value in values:
        array = np.asarray(value, order="C")
        crc = zlib.crc32(f"{name} {array.dtype.kind} {array.shape} ".encode(errors="replace"), crc)
        if array.dtype.kind in "OUS":
            crc = zlib.crc32(repr(array.tolist()).encode(), crc)
        else:
            crc = zlib.crc32(array.reshape(-1).view(np.uint8).data, crc)
    return crc

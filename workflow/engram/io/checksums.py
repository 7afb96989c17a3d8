"""Seals: checksums inside parquet and HDF5 files, so that a flipped bit or another file's content
is an error and never a number.

A sealed parquet file is one that every reader of parquet reads. Twelve bytes stand before its
footer, which readers find from the end: `ECRC`, the CRC-32 of all bytes before them, and the CRC-32
of all bytes after them. Its schema says under which name it was written; that also tells a file
that has lost its seal from one that never had it, as another program's. An HDF5 file has its seal
behind its end, where HDF5 does not look: the parts that have checksums of their own, and the CRC-32
of all else.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from engram.io.errors import EngramError, reason

NAME_KEY = b"engram_file"
"""Where the schema of a sealed parquet file holds the name of the file."""
ATTRIBUTE = "crc32"
BROKEN = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError)
"""What h5py and safetensors raise for a broken file; which of them depends on the byte that is
wrong.
"""
DAMAGED = "its content does not match its checksum; delete the file to have it made anew"
_SEAL = struct.Struct("<4sII")
_MARK = b"ECRC"
_END = struct.Struct("<II8s")
_END_MARK = b"ENGRSEAL"
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


def check_parquet(path: Path, data: bool) -> bool:
    """Whether a parquet file is sealed; nothing of it is interpreted before, since readers of
    formats may hang on a wrong byte.

    Args:
        path: the file.
        data: whether the rows are checked too, and not the schema alone.

    Raises:
        EngramError: it is sealed, and is not as it was written.
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
    """Whether a parquet file is the one that was written under this name.

    Args:
        path: the file.
        sealed: of `check_parquet`.
        metadata: of its schema.

    Raises:
        EngramError: it is another one, or has lost its seal.
    """
    name = metadata.get(NAME_KEY)
    if sealed != (name is not None):
        raise EngramError(f"{path}: {DAMAGED}")
    if name is not None and name != path.name.encode():
        raise EngramError(
            f"{path}: it holds a file that was written as {name.decode()}; delete it to have the "
            f"right one made"
        )


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


def seal_file(path: Path, unsealed: Iterable[tuple[int, int]] = ()) -> None:
    """Appends a checksum to a file whose format bears bytes behind its end, as HDF5 does.

    Args:
        path: the file.
        unsealed: offset and length of the parts that have checksums of their own, which are not
            read here.
    """
    ranges = np.array(sorted(unsealed), "<u8").reshape(-1, 2)
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        crc = zlib.crc32(ranges.tobytes(), _crc_around(file, size, ranges))
        file.seek(size)
        file.write(ranges.tobytes() + _END.pack(len(ranges), crc, _END_MARK))


def check_file(path: Path) -> None:
    """Whether a file that `seal_file` sealed is as it was, before anything of it is interpreted:
    HDF5 may hang on a wrong byte.

    Raises:
        EngramError: it is not, or was never sealed.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2) - _END.size
        file.seek(max(0, size))
        count, crc, mark = _END.unpack(file.read(_END.size).ljust(_END.size))
        start = size - 16 * count
        if mark != _END_MARK or start < 0:
            raise EngramError(
                f"{path}: its checksum is missing, it is cut off or no file of this Engram; delete "
                f"it to have it made anew"
            )
        file.seek(start)
        ranges = np.frombuffer(file.read(16 * count), "<u8").reshape(-1, 2)
        if crc != zlib.crc32(ranges.tobytes(), _crc_around(file, start, ranges)):
            raise EngramError(f"{path}: {DAMAGED}")


def _crc_around(file: IO[bytes], end: int, ranges: np.ndarray) -> int:
    """CRC-32 of the first `end` bytes without some ranges."""
    found, place = 0, 0
    for offset, length in [*ranges.tolist(), [end, 0]]:
        if not place <= offset <= end:
            return -1
        file.seek(place)
        while place < offset and (chunk := file.read(min(_CHUNK, offset - place))):
            found, place = zlib.crc32(chunk, found), place + len(chunk)
        place = offset + length
    return found


@contextmanager
def open_sealed(path: str | Path) -> Iterator[Any]:
    """A sealed HDF5 file, to read from.

    Raises:
        EngramError: it cannot be read, or is damaged.
    """
    import h5py  # most of what is sealed is parquet

    try:
        check_file(Path(path))
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError:
        raise EngramError(f"{path}: no such file") from None
    except BROKEN as error:
        raise EngramError(
            f"{path}: cannot be read ({reason(error)}); delete the file to have it made anew"
        ) from None


def named_crc(values: Iterable[tuple[str, Any]]) -> int:
    """CRC-32 over names and values: arrays by type, shape and bytes, anything else by its text."""
    found = 0
    for name, value in values:
        array = np.asarray(value)
        content = (
            repr(array.tolist()).encode()
            if array.dtype.kind in "OUS"
            else np.ascontiguousarray(array).tobytes()
        )
        found = zlib.crc32(
            f"{name} {array.dtype.kind} {array.shape} ".encode(errors="replace") + content, found
        )
    return found

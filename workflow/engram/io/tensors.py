"""Safetensors files whose every array and entry has a checksum: trained CNNs, and the pieces that
`engram.io.parts` keeps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from engram.io.artifacts import whole
from engram.io.checksums import BROKEN, DAMAGED, named_crc
from engram.io.errors import EngramError, reason, unwritable

NAME, ARRAYS, CHECKSUM = "file", "arrays", "crc32"
"""Entries of the metadata: the name of the file, the checksum of every array by name (JSON), and
the checksum of all other entries."""


class TensorFile:
    """A file that `write_tensors` wrote: its metadata in memory, its arrays read on demand.

    Args:
        path: the file.

    Raises:
        EngramError: no such file, another kind of file, another file's content, or damaged
            metadata.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with safe_open(path, "np") as file:
                self.metadata: dict[str, str] = dict(file.metadata() or {})
        except FileNotFoundError:
            raise EngramError(f"{path}: no such file") from None
        except (SafetensorError, *BROKEN) as error:
            raise self._unreadable(error) from None
        checksum = self.metadata.pop(CHECKSUM, None)
        if checksum != str(named_crc(sorted(self.metadata.items()))):
            raise EngramError(f"{path}: {DAMAGED}")
        self._checksums: dict[str, int] = json.loads(self.metadata.pop(ARRAYS))
        if (name := self.metadata.pop(NAME)) != path.name:
            raise EngramError(
                f"{path}: it holds a file that was written as {name}; delete it and run again"
            )

    @property
    def names(self) -> list[str]:
        """Names of the arrays."""
        return list(self._checksums)

    def read(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Return some arrays by name.

        Raises:
            EngramError: one does not match its checksum, or cannot be read.
        """
        try:
            with safe_open(self.path, "np") as file:
                arrays = {name: file.get_tensor(name) for name in names}
        except (SafetensorError, *BROKEN) as error:
            raise self._unreadable(error) from None
        if any(_crc(name, array) != self._checksums[name] for name, array in arrays.items()):
            raise EngramError(f"{self.path}: {DAMAGED}")
        return arrays

    def _unreadable(self, error: Exception) -> EngramError:
        return EngramError(
            f"{self.path}: not a readable file of tensors ({reason(error)}); delete it and run "
            f"again"
        )


def write_tensors(
    arrays: Mapping[str, np.ndarray], path: Path, metadata: Mapping[str, str]
) -> None:
    """Write arrays and metadata, whole or not at all.

    Raises:
        EngramError: the file cannot be written, on a full disk for instance.
    """
    stored = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    checksums = {name: _crc(name, array) for name, array in sorted(stored.items())}
    entries = {**metadata, NAME: path.name, ARRAYS: json.dumps(checksums)}
    # Not `save_file`: its file is readable by its owner alone, and a killed job leaves it behind.
    content = save(stored, {**entries, CHECKSUM: str(named_crc(sorted(entries.items())))})
    try:
        with whole(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise unwritable(path, error) from error


def read_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return what `write_tensors` wrote: arrays by sorted name, and metadata.

    Raises:
        EngramError: as `TensorFile`, or an array that does not match its checksum.
    """
    file = TensorFile(path)
    return file.read(file.names), file.metadata


def _crc(name: str, array: np.ndarray) -> int:
    return named_crc([(name, str(array.dtype)), (name, array)])

"""Finished work, kept so that an interrupted job resumes where it stopped and another study finds
what it shares.

A piece is a safetensors file, `<key>.safetensors`: named arrays and a JSON object. Its key is a
digest of everything that decides its content, the code that computes it included, so that a piece
is either what a job needs or never looked at. Pieces are outside the declared outputs of all rules;
any of them, or the whole folder, may be deleted at any time."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engram.io.errors import EngramError
from engram.io.tensors import TensorFile, write_tensors

log = logging.getLogger(__name__)

SUFFIX, ENTRY = ".safetensors", "engram"


@dataclass(frozen=True)
class Piece:
    """A finished piece of work."""

    arrays: dict[str, np.ndarray]
    metadata: dict[str, Any]
    """Whatever JSON holds."""


class OpenPiece:
    """A piece whose arrays are read on demand.

    Args:
        path: its file.

    Raises:
        EngramError: it is damaged, or another kind of file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._file = path, TensorFile(path)
        self.metadata: dict[str, Any] = json.loads(self._file.metadata.get(ENTRY, "{}"))

    def read(self, *names: str) -> dict[str, np.ndarray]:
        """Return some arrays by name; without names, all of them.

        Raises:
            EngramError: one is damaged, or cannot be read.
        """
        return self._file.read(names or self._file.names)


class Parts:
    """The finished pieces in a folder.

    Args:
        folder: where they are; a piece makes it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """Return where the piece of a key is, or would be."""
        return self.folder / f"{key}{SUFFIX}"

    def present(self) -> list[str]:
        """Return the keys of all pieces in the folder, damaged ones included, sorted."""
        return sorted(path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"[!.]*{SUFFIX}"))

    def write(self, key: str, piece: Piece) -> None:
        """Write a piece, whole or not at all; jobs that write one piece at once do no harm.

        Raises:
            EngramError: it cannot be written, on a full disk for instance.
        """
        write_tensors(piece.arrays, self.path(key), {ENTRY: json.dumps(piece.metadata)})

    def read(self, key: str) -> Piece | None:
        """Return a piece, or None where there is none or, with a warning, a damaged one."""
        if not self.path(key).exists():
            return None
        try:
            piece = OpenPiece(self.path(key))
            return Piece(piece.read(), piece.metadata)
        except EngramError as error:
            log.warning("%s: passed over, computed again", error)
            return None

"""The base's training text: sources of Python's standard library and of installed packages."""

from __future__ import annotations

import hashlib
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Document:
    """One source file; `path` is relative to the library's folder, with a leading origin
    (`stdlib/…`, `packages/…`).
    """

    path: str
    text: str
    held_out: bool


def path_fraction(path: str) -> float:
    """Return a fixed pseudo-random number in [0, 1) of a path, the same on every machine."""
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "big") / 2**64


def standard_library(held_out: float) -> Iterator[Document]:
    """Yield all readable sources of the running interpreter's standard library; a fixed share of
    the files is held out.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    for file in sorted(root.rglob("*.py")):
        relative = file.relative_to(root)
        if not {"site-packages", "dist-packages"} & set(relative.parts) and (text := _read(file)):
            path = f"stdlib/{relative.as_posix()}"
            yield Document(path, text, path_fraction(path) < held_out)


def installed_packages(max_bytes: int) -> Iterator[Document]:
    """Yield sources of the installed packages in a fixed pseudo-random order, as many as have
    `max_bytes` characters together.
    """
    root = Path(sysconfig.get_paths()["purelib"])
    files = {f"packages/{file.relative_to(root).as_posix()}": file for file in root.rglob("*.py")}
    total = 0
    for path in sorted(files, key=path_fraction):
        if text := _read(files[path]):
            total += len(text)
            if total > max_bytes:
                return
            yield Document(path, text, False)


def digest(documents: list[Document]) -> str:
    """Return the SHA-256 of paths and texts, in order: the corpus that a base was trained on."""
    sha = hashlib.sha256()
    for document in documents:
        sha.update(f"{document.path}\0{document.held_out}\0".encode())
        sha.update(document.text.encode())
        sha.update(b"\0")
    return sha.hexdigest()


def _read(file: Path) -> str | None:
    """Return the file's text, or None where it is not UTF-8 (test data of the standard library) or
    cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        return None

"""Git LFS pointers: a line of text that lies where a large file should be."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from engram.io.errors import EngramError

POINTER = b"version https://git-lfs.github.com/spec/"
"""How a pointer begins."""


def refuse_pointers(files: Iterable[Path]) -> None:
    """Check that files hold their content. What cannot be opened is left to those who read it.

    Raises:
        EngramError: one is the pointer that git left in place of a large file.
    """
    for path in files:
        try:
            with path.open("rb") as file:
                start = file.read(len(POINTER))
        except OSError:
            continue
        if start == POINTER:
            raise EngramError(
                f"{path}: a Git LFS pointer, not the file itself; run `git lfs pull` in its "
                f"repository, or download it again"
            )

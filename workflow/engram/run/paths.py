"""Users' paths as Snakemake takes them."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path


def without_braces(path: str | Path, links: Path) -> str:
    """Return a path that Snakemake reads as it is.

    Snakemake takes a name in braces for a wildcard, wherever the path comes from, and knows no way
    to write a brace that is none. A path with braces is replaced by a symbolic link to it.

    Args:
        path: a file or folder.
        links: the folder of the links; it is made when one is needed.
    """
    text = str(path)
    if "{" not in text and "}" not in text:
        return text
    target = Path(text).absolute()
    link = links / hashlib.sha256(str(target).encode(errors="surrogateescape")).hexdigest()[:16]
    link = link.with_suffix(target.suffix if "{" not in target.suffix else "")
    if not link.is_symlink():
        links.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process was quicker
            link.symlink_to(target)
    return str(link)

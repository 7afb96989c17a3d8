"""What a source read and what it left out: one line for people, and the same in the metadata."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Account:
    """Files that a source read, and everything that it left out."""

    source: str
    """What the user named: a file, a folder, a repository."""
    read: int
    """Files that were read."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Reason → how many: files, folders, rows or documents, as the reason says."""

    def line(self) -> str:
        """Return the line that ends the reading of a source."""
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.items())
        files = "file" if self.read == 1 else "files"
        total = sum(self.left_out.values())
        return f"{self.source}: read {self.read:,} {files}, left out {total:,}" + (
            f": {reasons}" if reasons else ""
        )

    def metadata(self) -> dict[str, Any]:
        """Return the account for a file's metadata."""
        return {"files": {"read": self.read, "left_out": dict(self.left_out)}}


def account(
    source: str | Path,
    read: Iterable[Path],
    below: bool = False,
    reasons: Mapping[Path, str] | None = None,
) -> Account:
    """Return the account of a folder, or of the one file that was named.

    Args:
        source: the file or folder.
        read: the files in it that are read.
        below: whether its sub-folders are searched too; else each counts as left out.
        reasons: of files that are left out; of others, that they have another name or ending.
    """
    files, root, known = set(read), Path(source), reasons or {}
    counts: Counter[str] = Counter()
    if root.is_dir():
        for place, folders, names in os.walk(root):
            here = Path(place)
            for name in sorted(folders):
                if (here / name).is_symlink():
                    counts["linked folders"] += 1
                elif name.startswith("."):
                    counts["hidden folders"] += 1
                elif not below:
                    counts["sub-folders"] += 1
            folders[:] = [name for name in folders if below and not name.startswith(".")]
            for path in (here / name for name in sorted(names)):
                if path in files:
                    continue
                if path.name.startswith("."):
                    counts["hidden files"] += 1
                elif not path.is_file():
                    counts["broken links and special files"] += 1
                else:
                    counts[known.get(path, "files of another name or ending")] += 1
    return Account(str(source), len(files), counts)

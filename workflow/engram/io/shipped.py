"""Where the files that ship with Engram lie: in a checkout, or inside the package where it was
installed from a wheel."""

from __future__ import annotations

from pathlib import Path

from engram.io.errors import EngramError

PACKAGE = Path(__file__).parents[1]
"""The folder of the package `engram`."""


def _root() -> Path:
    checkout = PACKAGE.parents[1]
    return checkout if (checkout / "Snakefile").is_file() else PACKAGE / "project"


ROOT = _root()
"""Folder of the Snakefile, rules, scripts, schema, captions, pages, profiles, studies and
resources."""


def shipped_file(name: str) -> Path:
    """Return the path of a file that ships with Engram.

    Raises:
        EngramError: the installation lacks it.
    """
    if not (ROOT / name).exists():
        raise EngramError(f"{ROOT / name}: missing from this installation; install Engram again")
    return ROOT / name

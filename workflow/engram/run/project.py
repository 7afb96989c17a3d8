"""Where the project's own files lie: in a checkout, or in the package where it was installed from a
wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
"""The folder of the package `engram`."""


def _root() -> Path:
    checkout = PACKAGE.parents[1]
    return checkout if (checkout / "Snakefile").is_file() else PACKAGE / "project"


ROOT = _root()
"""Folder of the Snakefile, rules, scripts, captions, profiles, studies and resources."""

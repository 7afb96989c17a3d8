"""Wheels of Python packages, downloaded by pip and read as archives: never installed, nothing of
them is run.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path
from typing import Any

from engram.io.errors import EngramError, boundary


@dataclass(frozen=True)
class Wheel:
    """A wheel on disk."""

    path: Path
    metadata: Any
    """Its METADATA, as a message."""
    names: list[str]
    """Its files."""


def package_folder(requirement: str, cache: Path) -> Path:
    """Return the folder of a package in one version, `name==version`, below a cache."""
    return cache / re.sub(r"[^A-Za-z0-9.]+", "-", requirement).lower()


def download_wheel(requirement: str, folder: Path, *options: str) -> Wheel:
    """Download one wheel with pip.

    Args:
        requirement: name and exact version, `name==version`.
        folder: an empty folder, or one that is made.
        options: further ones of `pip download`.

    Raises:
        EngramError: pip cannot download it as a wheel, or the wheel cannot be read.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:", "--dest", str(folder)]
    command += [*options, "--", requirement]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        said = (lines or done.stderr.splitlines() or ["pip said nothing"])[-1]
        raise EngramError(
            f"package {requirement}: pip cannot download it ({said.removeprefix('ERROR: ')}); see "
            f"name, version and network"
        )
    (path,) = folder.glob("*.whl")
    return open_wheel(requirement, path)


def open_wheel(requirement: str, path: Path) -> Wheel:
    """Return a wheel with its metadata and the names of its files.

    Raises:
        EngramError: it cannot be read.
    """
    with (
        boundary(f"package {requirement}: {path.name} cannot be read", "run again"),
        zipfile.ZipFile(path) as archive,
    ):
        names = archive.namelist()
        described = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(described).decode("utf-8", "replace"))
    return Wheel(path, metadata, names)


def stated_license(wheel: Wheel) -> str:
    """Return what a wheel says of its licence."""
    given = wheel.metadata["License-Expression"] or wheel.metadata["License"]
    classifiers = [
        text.split(" :: ")[-1]
        for text in wheel.metadata.get_all("Classifier") or ()
        if text.startswith("License ::")
    ]
    return " ".join(str(given or "").split())[:200] or ", ".join(classifiers) or "not stated"

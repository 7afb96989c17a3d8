"""Wheels of a few files, in a folder that stands for the package registry."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest


class Registry:
    """A folder of wheels from which `pip download` is answered, in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        """What was downloaded, in order."""
        folder.mkdir()

    def add(
        self, name: str, version: str, files: dict[str, str], *fields: str, readme: str = ""
    ) -> Path:
        """Write a wheel; code in it ends the program where it is run."""
        path = self.folder / f"{name}-{version}-py3-none-any.whl"
        head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *fields]
        described = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(path, "w") as archive:
            for file, text in files.items():
                archive.writestr(f"{name}/{file}", text)
            archive.writestr(f"{name}/__init__.py", "raise SystemExit('this code was run')\n")
            archive.writestr(f"{described}/METADATA", "\n".join([*head, "", readme]))
            archive.writestr(f"{described}/LICENSE.txt", "You may do what you like with it.\n")
            archive.writestr(f"{described}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr(f"{described}/RECORD", "")
        return path

    def download(self, command: list[str], **_options: object) -> SimpleNamespace:
        """Do what pip does, which takes a second for each wheel."""
        requirement = command[-1]
        self.asked.append(requirement)
        path = self.folder / f"{requirement.replace('==', '-')}-py3-none-any.whl"
        if not path.is_file():
            said = f"ERROR: No matching distribution found for {requirement}"
            return SimpleNamespace(returncode=1, stderr=said)
        folder = Path(command[command.index("--dest") + 1])
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
        return SimpleNamespace(returncode=0)


def registry(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Return a registry that answers for pip."""
    from engram.sources import wheels

    made = Registry(folder)
    monkeypatch.setattr(wheels.subprocess, "run", made.download)
    return made


def prose(seed: int, words: int = 60) -> str:
    """Text that shares no run of 16 characters with that of another seed."""
    generator = np.random.default_rng(seed)
    letters = generator.integers(97, 123, (words, 6)).astype(np.uint8)
    return "\n".join(bytes(word).decode() for word in letters) + "\n"

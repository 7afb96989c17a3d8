"""Settings files: what decides the results of a stage, as files that Snakemake compares.

`results/<study>/settings/<stage>.json` holds the part of the config that a stage uses, the digest
of its code, and the state of the user's files that it reads. The files are written when the rules
are read, each only if its content differs, so that its time says when the settings last changed. A
stage that is older than its settings is outdated, whatever Snakemake remembers.

A dry run reads the rules too. So what a file held at the last run is kept until the next run
starts: an edit of the config that is taken back before then brings the file back, with its time.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from engram.io.artifacts import whole


class SettingsFiles:
    """The settings files of one study.

    Args:
        folder: `results/<study>/settings`.
        code: digest of every script by name.
        write: whether files are written; only Snakemake's main process may, and not while another
            one runs in the folder.
    """

    def __init__(self, folder: Path, code: Mapping[str, str], write: bool) -> None:
        self.folder, self.code, self.write = folder, code, write
        self.files: dict[Path, dict[str, Any]] = {}
        """Every file that the rules asked for, with what it should hold."""
        self.outdated: list[Path] = []
        """Files that hold something else and were not to be written."""

    def __call__(self, stage: str, script: str = "", **values: Any) -> str:
        """Return the settings file of a stage, up to date.

        Args:
            stage: its name; may hold slashes.
            script: whose code makes the results, unless it has the stage's name.
            values: JSON values that decide the results.
        """
        path = self.folder / f"{stage}.json"
        self._keep(path, {"code": self.code[script or stage], **values})
        return str(path)

    def stamped(self, stage: str, script: str = "", **values: Any) -> str:
        """Do as a call, and return the file as the job `stamp` hands it on.

        Every stage that follows from the attention takes its settings so: Snakemake asks nothing
        but plain edges from jobs where a job ahead of it runs, even behind an order-only edge.
        """
        self(stage, script, **values)
        return str(self.folder / "stamps" / f"{stage}.json")

    def by(
        self, wildcard: str, stage: str, values: Mapping[str, Mapping[str, Any]], script: str = ""
    ) -> str:
        """Return the pattern of a stage's settings files, one for each value of a wildcard.

        Args:
            wildcard: its name.
            stage: the stage's name.
            values: the settings for every value of the wildcard.
            script: as above.
        """
        for value, own in values.items():
            path = self.folder / wildcard / value / f"{stage}.json"
            self._keep(path, {"code": self.code[script or stage], **own})
        return f"{self.folder}/{wildcard}/{{{wildcard}}}/{stage}.json"

    def start(self) -> None:
        """Forget what the files held before: a run starts, and its jobs follow the new settings."""
        for path in self.files:
            _before(path).unlink(missing_ok=True)

    def _keep(self, path: Path, values: dict[str, Any]) -> None:
        wanted = json.loads(json.dumps(values))
        if path in self.files and self.files[path] != wanted:
            raise ValueError(f"{path}: two stages have this name")
        self.files[path] = wanted
        if read_values(path) == wanted:
            return
        if not self.write:
            self.outdated.append(path)
            return
        before = _before(path)
        if read_values(before) == wanted:
            before.replace(path)
            return
        if path.is_file() and not before.is_file():
            with whole(before) as temporary:
                shutil.copy2(path, temporary)
        with whole(path) as temporary:
            temporary.write_text(
                json.dumps(wanted, indent=1, sort_keys=True) + "\n", encoding="utf-8"
            )


def _before(path: Path) -> Path:
    """Return where a settings file of the last run is kept."""
    return path.with_name(f".{path.name}.before")


def read_values(path: Path) -> dict[str, Any] | None:
    """Return what a settings file holds; None if it is missing or unreadable."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def read_settings(path: str | Path) -> SimpleNamespace:
    """Return the settings of a stage as attributes."""
    return SimpleNamespace(**json.loads(Path(path).read_text(encoding="utf-8")))


def forget_earlier(inputs: Iterable[str]) -> None:
    """Forget what the settings files among a job's inputs held before: results follow them now.

    `SettingsFiles.start` does so for a whole run, but Snakemake calls it for the main Snakefile
    alone, and Engram may be a module of another one.
    """
    for path in map(Path, inputs):
        if path.suffix == ".json":
            _before(path).unlink(missing_ok=True)


def locked(folder: Path) -> bool:
    """Return whether a Snakemake holds, or a killed one left, the lock of a working folder."""
    locks = folder / ".snakemake" / "locks"
    return locks.is_dir() and any(locks.iterdir())

"""Releases of Python packages as text: what is new in a release, line by line.

Text that was published after a model is text that the model has never seen. A release of a package
that is younger than the model gives such text: the lines that an earlier release, which is younger
than the model as well, does not have.
"""

from __future__ import annotations

import difflib
import io
import json
import logging
import re
import shutil
import sysconfig
import uuid
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path, PurePosixPath
from typing import Any

from engram.io.artifacts import write_json
from engram.io.errors import EngramError, boundary
from engram.lm.gguf import file_digest
from engram.sources.account import Account
from engram.sources.documents import PLAIN
from engram.sources.wheels import download_wheel, open_wheel, package_folder, stated_license

log = logging.getLogger(__name__)

RECORD = "release.json"
"""Where the folder of a release says what it holds."""
PROSE = frozenset([".md", ".markdown", ".rst", ".txt", ".text", ".adoc", ".org", ".tex"])
"""Endings of documentation; the description of a package, its METADATA, counts with it."""
CODE = PLAIN - PROSE - frozenset(["", ".js", ".css", ".log"])
"""Endings of source code. Scripts and styles of web pages are left out: packages ship them as
programs have put them together."""
LONGEST_LINE = 1000
"""Characters of a line beyond which a file counts as data or as written by a program."""
_TERMS = re.compile(r"licen[cs]e|notice|copying|copyright|authors|third.?party", re.IGNORECASE)
_ANYWHERE = ("--ignore-requires-python", "--platform", "any")
"""The wheel for every Python and every machine: one text, one digest."""


@dataclass(frozen=True)
class TextFile:
    """A file of a release."""

    name: str
    """Its path in the wheel; METADATA without the folder that has the version in its name."""
    text: str
    is_code: bool


@dataclass(frozen=True)
class NewText:
    """Consecutive new lines of a file."""

    file: TextFile
    line: int
    """Number of the first one, from 1."""
    text: str


def fetch_release(requirement: str, cache: Path) -> dict[str, str]:
    """Download the wheel of a package unless it is there.

    Args:
        requirement: name and exact version, `django==6.1.3`.
        cache: where releases lie, a folder for each.

    Returns:
        package; path, of the wheel; sha256, of the wheel; license, as the package states it.

    Raises:
        EngramError: pip cannot download it as a wheel for every machine, or the wheel on disk is
            not the one that was downloaded.
    """
    folder = package_folder(requirement, cache)
    if not (folder / RECORD).is_file():
        partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:12]}.partial")
        try:
            partial.mkdir(parents=True)
            wheel = download_wheel(requirement, partial / "wheel", *_ANYWHERE)
            wheel.path.rename(partial / wheel.path.name)
            (partial / "wheel").rmdir()
            record = {
                "package": requirement,
                "path": str(folder / wheel.path.name),
                "sha256": file_digest(partial / wheel.path.name),
                "license": stated_license(wheel),
            }
            write_json(record, partial / RECORD)
            if not folder.is_dir():  # another job may have been faster
                partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    with boundary(f"{folder / RECORD}: cannot be read", "delete the folder and run again"):
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    record["path"] = str(folder / Path(record["path"]).name)
    if not Path(record["path"]).is_file() or file_digest(record["path"]) != record["sha256"]:
        raise EngramError(
            f"package {requirement}: {record['path']} is not the wheel that was downloaded; delete "
            f"its folder and run again"
        )
    log.info("%s: licence %s", requirement, record["license"])
    return record


def fetch_releases(releases: list[Mapping[str, Any]], cache: Path) -> list[dict[str, Any]]:
    """Download the wheels of releases and of the releases before them.

    Args:
        releases: name, version, released, before, before_released, as the config has them.
        cache: where releases lie.

    Returns:
        for each: name, version, released; wheel and before, records of `fetch_release`; `before`
        is None where there is none.

    Raises:
        EngramError: as `fetch_release`.
    """
    return [
        {
            **{key: release[key] for key in ("name", "version", "released")},
            "wheel": fetch_release(f"{release['name']}=={release['version']}", cache),
            "before": fetch_release(f"{release['name']}=={release['before']}", cache)
            if release["before"]
            else None,
        }
        for release in releases
    ]


def text_files(record: Mapping[str, str], said: Account | None = None) -> Iterator[TextFile]:
    """Yield the source code and the documentation of a release, by name.

    Left out are other kinds of files, licences, files that are not UTF-8, and those with a line of
    more than `LONGEST_LINE` characters.

    Args:
        record: as `fetch_release` returns it.
        said: counts the files.

    Raises:
        EngramError: the wheel cannot be read.
    """
    said = said or Account(record["package"], 0)
    path = Path(record["path"])
    wheel = open_wheel(record["package"], path)
    with (
        boundary(f"package {record['package']}: {path.name} cannot be read", "run again"),
        zipfile.ZipFile(path) as archive,
    ):
        for name in sorted(name for name in wheel.names if not name.endswith("/")):
            below = PurePosixPath(name)
            if below.name == "METADATA" and below.parent.suffix == ".dist-info":
                # Its own text is everything behind the fields.
                text = str(wheel.metadata.get_payload())
                if text.strip():
                    said.read += 1
                    yield TextFile("METADATA", text, is_code=False)
                continue
            kind = below.suffix.lower()
            if kind not in CODE and kind not in PROSE:
                said.left_out["files that are neither code nor documentation"] += 1
            elif _TERMS.search(below.name) and kind in PROSE:
                said.left_out["licences and notices"] += 1
            else:
                try:
                    text = archive.read(name).decode("utf-8-sig")
                except UnicodeDecodeError:
                    said.left_out["files that are not UTF-8"] += 1
                    continue
                if max(map(len, text.splitlines()), default=0) > LONGEST_LINE:
                    said.left_out[f"files with a line over {LONGEST_LINE} characters"] += 1
                    continue
                said.read += 1
                yield TextFile(name, text, kind in CODE)


def license_files(records: Iterable[Mapping[str, str]]) -> Iterator[tuple[str, TextFile]]:
    """Yield the licences and notices of packages, each with the package's name in lower case: of
    the wheels, and of the packages that are installed next to Engram.

    Args:
        records: of wheels, as `fetch_release` returns them.
    """
    for record in records:
        wheel = open_wheel(record["package"], Path(record["path"]))
        with zipfile.ZipFile(wheel.path) as archive:
            for name in sorted(filter(_is_license, wheel.names)):
                text = archive.read(name).decode("utf-8", "replace")
                owner = record["package"].split("==")[0].lower()
                yield owner, TextFile(PurePosixPath(name).name, text, is_code=False)
    installed = {str(found.name).lower(): found for found in distributions() if found.name}
    for owner, found in sorted(installed.items()):
        for path in sorted(file for file in found.files or () if _is_license(str(file))):
            try:
                text = path.read_text(encoding="utf-8")
            except (UnicodeDecodeError, OSError):
                continue
            yield owner, TextFile(path.name, text, is_code=False)


def _is_license(name: str) -> bool:
    """Return whether a file is one of a package's licences and notices."""
    path = PurePosixPath(name)
    inside = any(part.endswith(".dist-info") for part in path.parts[:-1])
    return inside and bool(_TERMS.search(path.name)) and not name.endswith("/")


def library_files() -> Iterator[TextFile]:
    """Yield the sources of the running Python's standard library, by name."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        below = path.relative_to(root)
        if {"site-packages", "dist-packages"} & set(below.parts):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            continue  # test data of the library
        yield TextFile(below.as_posix(), text, is_code=True)


def new_text(file: TextFile, earlier: str | None) -> list[NewText]:
    """Return the runs of consecutive lines of a file that its earlier text does not have, by a
    line-by-line comparison (`difflib`). A blank line between two new lines belongs to their run,
    whether or not the comparison finds it in the earlier text.

    Args:
        file: of the later release.
        earlier: the text of the file of the same name in the earlier release; None where there is
            none, so that all lines are new.
    """
    lines = list(io.StringIO(file.text))
    fresh = [True] * len(lines)
    if earlier is not None:
        old = list(io.StringIO(earlier))
        first = _common(old, lines)
        last = _common(old[first:][::-1], lines[first:][::-1])
        middle = lines[first : len(lines) - last]
        fresh = [False] * len(lines)
        matcher = difflib.SequenceMatcher(None, old[first : len(old) - last], middle)
        for tag, _, _, begin, end in matcher.get_opcodes():
            if tag != "equal":
                fresh[first + begin : first + end] = [True] * (end - begin)
    runs, start, end = [], None, 0
    for number, (line, is_new) in enumerate(zip(lines, fresh, strict=True)):
        if is_new and line.strip():
            start, end = number if start is None else start, number + 1
        elif line.strip() and start is not None:
            runs.append((start, end))
            start = None
    if start is not None:
        runs.append((start, end))
    return [NewText(file, first + 1, "".join(lines[first:end])) for first, end in runs]


def _common(first: list[str], second: list[str]) -> int:
    """Return how many lines two texts begin with alike."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count

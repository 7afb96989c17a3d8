"""Where a study comes from: config, code, packages, models, machine. `engram.records` says it of each result."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Any

from engram import SCHEMA_VERSION, __version__
from engram.records import package_versions


def describe_run(config: dict[str, Any], code: dict[str, str], models: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What `run.json` holds: the completed config, digests of every stage's code, revisions of the models, versions."""
    return {
        "engram": __version__,
        "schema_version": SCHEMA_VERSION,
        "commit": commit(),
        "config": config,
        "code": code,
        "models": models,
        "packages": package_versions(),
        "python": platform.python_version(),
        "processor": processor(),
    }


def commit() -> str | None:
    """The git commit of the working tree, with `+changes` where it has uncommitted ones; None outside a checkout."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
        changes = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+changes" if changes.strip() else "")


def processor() -> str:
    """The processor's name where the system tells it (Linux), else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())

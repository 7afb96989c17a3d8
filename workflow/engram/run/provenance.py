"""Where a study comes from: config, code, packages, models, machine. `engram.run.records` says it
of each result.
"""

from __future__ import annotations

import json
import platform
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from engram import __version__
from engram.io.hashing import value_digest
from engram.io.schema import SCHEMA_VERSION
from engram.run.records import package_versions


def describe_run(
    config: dict[str, Any], code: dict[str, str], models: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return what `run.json` holds: the completed config, digests of every stage's code, revisions
    of the models, versions.
    """
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


def origins(config: dict[str, Any], run: Path) -> dict[str, str]:
    """Return where a study's tables and figures come from, a line of reStructuredText for the
    captions of the report.

    Args:
        config: the completed config.
        run: `run.json` of the study. Until a run has written it, versions are those of this
            environment, revisions those of the config, and no commit is named: every job of a run
            reads the rules, and none may wait for git.

    Returns:
        by model, for what is made from one alone; under the empty name that of all.
    """
    known: dict[str, Any] = {"packages": package_versions(), "commit": None, "models": {}}
    # A damaged file may not stop the plan that makes it again.
    with suppress(OSError, ValueError, TypeError):
        known |= json.loads(run.read_text())
    versions = ", ".join(f"{name} {number}" for name, number in known["packages"].items())
    commit = known["commit"] or ""
    changes = "+changes" if commit.endswith("+changes") else ""
    tree = f" at commit ``{commit[:12]}{changes}``" if commit else ""
    study = (
        f"Study ``{config['study']}``, config ``{value_digest(config)}``, seed {config['seed']}; "
        f"Engram {__version__}{tree}; {versions}."
    )
    models = {
        entry["name"]: _model_origin(entry, known["models"].get(entry["name"], {}))
        for entry in config["models"]
    }
    return {"": " ".join([study, *models.values()])} | {
        name: f"{study} {text}" for name, text in models.items()
    }


def _model_origin(entry: dict[str, Any], found: dict[str, Any]) -> str:
    """Return a model's weights and candidates; `found`: what its labels say of them."""
    name, weights = entry["name"], found.get("model_revision", "not yet read")
    if entry["source"] == "nursery":
        return (
            f"Model ``{name}``: base and candidates of ``{entry['base']}``, drilled with seed "
            f"{entry['seed']} (weights ``{weights}``)."
        )
    revision = found.get("commit") or entry.get("revision")
    of_model = f" at ``{revision}``" if revision else ""
    drilled = f", drilled here with seed {entry['seed']}" if entry.get("arm") else ""
    of = entry["model"] or entry.get("package")
    place = entry.get("table") or entry.get("documents") or entry.get("dataset")
    releases = [f"{release['name']}=={release['version']}" for release in entry.get("releases", ())]
    candidates = "".join(f", ``{of_text}``" for of_text in ([place] if place else releases))
    of_dataset = f" at ``{entry['dataset_revision']}``" if entry.get("dataset_revision") else ""
    compared = ""
    if (other := entry.get("counterpart")) and not drilled:
        known = found.get("counterpart_commit") or entry.get("counterpart_revision")
        compared = f"; counterpart: ``{other}``" + (f" at ``{known}``" if known else "")
    return (
        f"Model ``{name}``: ``{of}``{of_model}{drilled} (weights ``{weights}``); "
        f"candidates: {entry['source']}{candidates}{of_dataset}{compared}."
    )


def commit() -> str | None:
    """Return the git commit of the working tree, with `+changes` where it has uncommitted ones;
    None outside a checkout.
    """
    here = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()
        changes = subprocess.run(
            ["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+changes" if changes.strip() else "")


def processor() -> str:
    """Return the processor's name where the system reports it (Linux), else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )

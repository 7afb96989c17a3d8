"""Scripts of rules, run in this process without Snakemake."""

from __future__ import annotations

import runpy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engram.run import job

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"


def run_script(
    name: str,
    files: Mapping[str, Any],
    output: Mapping[str, Path],
    settings: Mapping[str, Any],
    **wildcards: str,
) -> None:
    """Run a script on its inputs, with the settings that its settings file would hold."""

    @contextmanager
    def without_records(_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(**settings)

    snakemake = SimpleNamespace(
        input=SimpleNamespace(**files),
        output=SimpleNamespace(**output),
        resources=SimpleNamespace(
            batch_tokens=8192, kernel="torch", maps_mb=100, fewest_samples=10
        ),
        wildcards=SimpleNamespace(**wildcards),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "job", without_records)
        runpy.run_path(str(SCRIPTS / f"{name}.py"), {"snakemake": snakemake})

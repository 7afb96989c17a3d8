"""What can be made of a study where its bundle was unpacked, after a change of config or code.

`python -m engram bundle results/<study>` lists it; `--finish` makes it. Everything else needs the
language model or its attention, which stayed on the cluster.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engram.io.errors import EngramError
from engram.run import launch
from engram.run.bundle import CLUSTER, CONFIG, LEFT_OUT, NOTE
from engram.run.launch import PlannedJob
from engram.run.records import record_file
from engram.run.settings_files import read_values


def command(results: Path, config: Path | None = None, finish: bool = False) -> None:
    """Print what can be made where a bundle was unpacked, and make it if asked to.

    Args:
        results: folder of the study.
        config: of the study; None is the one in its folder.
        finish: whether to make what can be made here; this process becomes Snakemake.

    Raises:
        EngramError: no unpacked bundle, or a dry run fails.
    """
    if not (results / NOTE).is_file():
        raise EngramError(
            f"{results}: no {NOTE}; unpack a bundle in this folder first: tar xf "
            f"{results.name}.bundle.tar"
        )
    study = ["--configfile", str(config or results / CONFIG)]
    here, stuck = divide([job for job in launch.dry_run(study) if job.outputs])
    print(plan_text(Path("results") / results.resolve().name, here, stuck), flush=True)
    if finish and here:
        files = [name for job in here for name in job.outputs]
        rules = sorted({job.rule for job in here})
        launch.start([*files, "--allowed-rules", *rules, *study])


def divide(jobs: Sequence[PlannedJob]) -> tuple[list[PlannedJob], list[PlannedJob]]:
    """Divide the jobs that config or code ask for.

    Where a single job reads attention, Snakemake plans everything that leads to the attention, and
    then everything that follows from it. So a job counts only where its settings differ from those
    that made its outputs, where outputs are missing that the bundle should hold, or where a job
    that counts makes one of its inputs.

    Returns:
        Those that can run here, and those that run on the cluster or wait for one that does.
    """
    asked = _with_followers([job for job in jobs if _is_changed(job) or not _is_made(job)], jobs)
    stuck = _with_followers([job for job in asked if job.rule in CLUSTER], asked)
    return [job for job in asked if job not in stuck], stuck


def plan_text(results: Path, here: Sequence[PlannedJob], stuck: Sequence[PlannedJob]) -> str:
    """Return as text what can be made here, and what only on the cluster."""
    if not (here or stuck):
        return f"{results}: everything is up to date with config and code."
    lines = [f"{results}: {len(here)} jobs can run here, {len(stuck)} need the cluster."]
    if here:
        lines += ["Here, with --finish:", *_by_rule(here)]
    if stuck:
        waiting = [
            name
            for job in stuck
            for name in job.outputs
            if re.match(rf"{re.escape(str(results))}/(tables|figures|explorer)", name)
        ]
        lines += ["On the cluster:", *_by_rule(stuck), "Files that wait for it, kept as they are:"]
        lines += [f"  {name.removeprefix(f'{results}/')}" for name in waiting]
    return "\n".join(lines)


def _with_followers(first: Sequence[PlannedJob], jobs: Sequence[PlannedJob]) -> list[PlannedJob]:
    """Return some of the jobs with all that follow from them, in the order of the jobs."""
    chosen, added = set(first), set(first)
    while added:
        made = {name for job in added for name in job.outputs}
        added = {job for job in jobs if job not in chosen and not made.isdisjoint(job.inputs)}
        chosen |= added
    return [job for job in jobs if job in chosen]


def _is_changed(job: PlannedJob) -> bool:
    """Return whether a job's settings differ from those in the records of its outputs; of a stamp,
    whether it differs from the file that it copies.
    """
    if job.rule == "stamp":
        return read_values(Path(job.inputs[0])) != read_values(Path(job.outputs[0]))
    settings = _settings(job)
    return settings is not None and any(
        record is not None and record["settings"] != settings
        for record in map(_record, job.outputs)
    )


def _settings(job: PlannedJob) -> dict[str, Any] | None:
    """Return what a job's settings file holds; for a stamp, that of the file that it copies."""
    for name in job.inputs:
        if "settings" in Path(name).parts[2:3] and job.rule != "stamp":  # results/<study>/settings
            return read_values(Path(name.replace("/settings/stamps/", "/settings/")))
    return None


def _record(output: str) -> dict[str, Any] | None:
    """Return the record of an output; None where there is none."""
    path = record_file(Path(output))
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path else None
    except (OSError, ValueError):
        return None


def _is_made(job: PlannedJob) -> bool:
    """Return whether a job's outputs are here, or were left out on purpose."""
    return all(
        Path(name).is_file()
        or any(Path(*Path(name).parts[2:]).match(pattern) for pattern in LEFT_OUT)
        for name in job.outputs
    )


def _by_rule(jobs: Sequence[PlannedJob]) -> Iterator[str]:
    return (
        f"  {rule} ({count})" if count > 1 else f"  {rule}"
        for rule, count in sorted(Counter(job.rule for job in jobs).items())
    )

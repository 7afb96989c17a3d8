"""Starts Snakemake: the only module that does.

In a checkout that is `snakemake` in its folder. Where Engram was installed from a wheel, the
Snakefile, the default study and the profiles come from the package, and results go to the working
folder.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from engram.io.errors import EngramError
from engram.io.shipped import ROOT

_CHILD = "import sys; from engram.run import launch; sys.exit(launch.record_jobs(*sys.argv[1:]))"
"""The program of a dry run's process."""
SNAKEFILES = ("Snakefile", "snakefile", "workflow/Snakefile", "workflow/snakefile")
"""Where Snakemake looks for itself, in this order."""


@dataclass(frozen=True)
class PlannedJob:
    """A job that Snakemake would run now."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def dry_run(arguments: Sequence[str]) -> list[PlannedJob]:
    """Return the jobs that Snakemake would run, from its log records.

    Args:
        arguments: of `snakemake`; `--dry-run` is added.

    Raises:
        EngramError: the rules cannot be read, or no plan can be made.
    """
    with TemporaryDirectory() as folder:
        jobs = Path(folder, "jobs.json")
        _, _, _, *words = command([*arguments, "--dry-run", "--nolock"])
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, str(jobs), *words],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode or not jobs.is_file():
            raise EngramError(f"the dry run fails:\n{done.stdout.strip()[-2000:]}")
        return [
            PlannedJob(job["rule"], tuple(job["inputs"]), tuple(job["outputs"]))
            for job in json.loads(jobs.read_text(encoding="utf-8"))
        ]


def start(arguments: Sequence[str]) -> NoReturn:
    """Turn this process into Snakemake, so that it is Snakemake that an interrupt reaches."""
    sys.stdout.flush()
    os.execv(sys.executable, command(arguments))


def run(arguments: Sequence[str]) -> int:
    """Run Snakemake and return its exit status; an interrupt reaches it too, and is waited for."""
    sys.stdout.flush()
    process = subprocess.Popen(command(arguments))
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def command(arguments: Sequence[str], folder: Path | None = None) -> list[str]:
    """Return the command line of Snakemake.

    Args:
        arguments: of `snakemake`.
        folder: where it will run; None is the working folder.
    """
    here = folder or Path.cwd()
    pairs = zip(["", *arguments], arguments, strict=False)  # each with the one before it
    words = [_profile(word, before, here) for before, word in pairs]
    given = {word.partition("=")[0] for word in words}
    added = []
    if not given & {"-s", "--snakefile"} and not any((here / name).exists() for name in SNAKEFILES):
        added = ["--snakefile", str(ROOT / "Snakefile")]
    if added and not given & {"--configfile", "--configfiles"}:
        own = here / "config.yaml"
        added += ["--configfile", str(own if own.exists() else ROOT / "config.yaml")]
    return [sys.executable, "-m", "snakemake", *words, *added]


def study_file(name: str) -> Path:
    """Return the config of a study: a file, or one that ships, such as `paper`.

    Raises:
        EngramError: there is no such study.
    """
    if Path(name).is_file():
        return Path(name)
    shipped = ROOT / "studies" / f"{name}.yaml"
    if not shipped.is_file():
        known = ", ".join(sorted(path.stem for path in (ROOT / "studies").glob("*.yaml")))
        raise EngramError(f"study {name}: no such file; the studies that ship are {known}")
    return shipped


def _profile(word: str, before: str, here: Path) -> str:
    """Return an argument with the name of a profile that ships replaced by its folder."""
    option, sign, value = word.partition("=") if word.startswith("--profile=") else ("", "", word)
    if option or before == "--profile":
        shipped = ROOT / "profiles" / value
        if not (here / value).exists() and (shipped / "config.yaml").is_file():
            return f"{option}{sign}{shipped}"
    return word


def record_jobs(path: str, *arguments: str) -> int:
    """Run Snakemake in this process, and write the jobs of which its log has a record."""
    from snakemake import cli
    from snakemake.logging import logger

    jobs: list[PlannedJob] = []

    def seen(record: logging.LogRecord) -> bool:
        if getattr(record, "event", None) == "job_info":
            inputs, outputs = (tuple(getattr(record, name)) for name in ("input", "output"))
            jobs.append(PlannedJob(record.rule_name, inputs, outputs))  # type: ignore[attr-defined]
        return True

    logger.addFilter(seen)
    try:
        cli.main(list(arguments))
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    Path(path).write_text(json.dumps([asdict(job) for job in jobs]), encoding="utf-8")
    return status

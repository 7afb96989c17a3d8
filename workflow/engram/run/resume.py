"""`python -m engram resume`: what a killed Snakemake left behind in this folder, and with
`--clean` its removal.

A main process that ends by SIGKILL or a power cut leaves its lock and, on a cluster, its jobs: they
continue, and a second run would write the same files at the same time. The command names both.
`--clean` cancels the jobs, waits until they are gone and removes the lock; finished results and
parts stay. Then `snakemake` resumes where the run stopped.
"""

from __future__ import annotations

import getpass
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from engram.io.errors import EngramError

LOCKS = Path(".snakemake/locks")
COMMENT = "rule_"
"""How the comment of every job begins that Snakemake's SLURM executor submits."""
PATIENCE = 120.0
"""Seconds that cancelled jobs may take to end."""


@dataclass(frozen=True)
class Orphan:
    """A SLURM job of this folder."""

    job: str
    """SLURM's number."""
    state: str
    """RUNNING, PENDING or what else SLURM says."""
    rule: str
    """Rule and wildcards."""


@dataclass(frozen=True)
class Left:
    """What lies and runs in a folder."""

    mains: list[int]
    """Process ids of Snakemake on this machine that work in the folder."""
    locks: int
    """Files of the lock."""
    orphans: list[Orphan]
    """Jobs in the queue, whether or not a main process still waits for them."""


def look(folder: Path) -> Left:
    """Look for main processes on this machine, the lock, and SLURM jobs that were submitted from a
    folder.
    """
    locks = len(list((folder / LOCKS).glob("*"))) if (folder / LOCKS).is_dir() else 0
    return Left(main_processes(folder), locks, orphans(folder))


def main_processes(folder: Path) -> list[int]:
    """Return the ids of this machine's main Snakemake processes that run in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            inside = (process / "cwd").resolve() == folder.resolve()
        except OSError:
            continue
        runs = (
            any(Path(word).name == "snakemake" for word in words[:3]) or "snakemake" in words[1:3]
        )
        # Jobs are Snakemakes too: they are given the jobs to run.
        if inside and runs and "--target-jobs" not in words:
            found.append(int(process.name))
    return sorted(found)


def orphans(folder: Path) -> list[Orphan]:
    """Return this user's SLURM jobs that Snakemake submitted from a folder; none where there is no
    SLURM.

    Raises:
        EngramError: SLURM does not answer, so that nobody knows.
    """
    if shutil.which("squeue") is None:
        return []
    command = ["squeue", "-h", "-u", getpass.getuser(), "-o", "%A|%T|%Z|%k"]
    try:
        done = subprocess.run(command, text=True, capture_output=True, timeout=60)
        error = done.stderr.strip() if done.returncode else ""
    except subprocess.TimeoutExpired:
        error = "no answer in 60 s"
    if "configuration source" in error:  # SLURM's programs lie here, but no cluster is behind them
        return []
    if error:
        raise EngramError(
            f"squeue: {' '.join(error.split())}; jobs of this folder may still run: try again when "
            f"SLURM answers"
        )
    rows = [line.split("|", 3) for line in done.stdout.splitlines()]
    home = folder.resolve()
    return [
        Orphan(job, state, name.removeprefix(COMMENT))
        for job, state, where, name in rows
        if _is_ours(home, where, name)
    ]


def _is_ours(home: Path, where: str, name: str) -> bool:
    return name.startswith((COMMENT, "group_")) and Path(where).resolve() == home


def describe(left: Left) -> str:
    """Return what was found, and what to do, as lines of text."""
    if left.mains:
        jobs = f" and waits for {len(left.orphans)} jobs" if left.orphans else ""
        return (
            f"Snakemake runs here (process {', '.join(map(str, left.mains))}){jobs}: nothing to "
            f"resume."
        )
    lines = []
    if left.locks:
        lines.append(
            "Lock: stale, no Snakemake of this machine works here. (On another login node one "
            "would not be seen: look there.)"
        )
    for orphan in left.orphans:
        lines.append(
            f"Orphan: SLURM job {orphan.job}, {orphan.state.lower()}, {orphan.rule}; no Snakemake "
            f"waits for it."
        )
    if not lines:
        return "Nothing was left behind: run snakemake as before."
    steps = [f"scancel {' '.join(orphan.job for orphan in left.orphans)}"] if left.orphans else []
    steps += ["snakemake --unlock"] if left.locks else []
    return "\n".join(
        [
            *lines,
            f"To resume: {'; '.join(steps)} (or `python -m engram resume --clean`), then "
            f"snakemake as before.",
        ]
    )


def clean(folder: Path) -> Left:
    """Cancel the orphans, wait until none is left, and remove the lock.

    Returns:
        what had been left.

    Raises:
        EngramError: a main process runs here, or a job does not end.
    """
    left = look(folder)
    if left.mains:
        raise EngramError(f"{folder.resolve()}: {describe(left)}")
    if left.orphans:
        subprocess.run(
            ["scancel", *(orphan.job for orphan in left.orphans)], check=False, timeout=60
        )
        deadline = time.monotonic() + PATIENCE
        while rest := orphans(folder):
            if time.monotonic() > deadline:
                raise EngramError(
                    f"SLURM jobs {', '.join(orphan.job for orphan in rest)} do not end; the lock "
                    f"stays until they have"
                )
            time.sleep(1)
    for file in (folder / LOCKS).glob("*"):
        file.unlink()
    return left


def command(clean_up: bool = False) -> None:
    """Print what a killed run left behind in the working folder, or remove it.

    Raises:
        EngramError: as `clean`.
    """
    if not clean_up:
        print(describe(look(Path.cwd())))
        return
    left = clean(Path.cwd())
    lock = "the lock" if left.locks else "no lock"
    print(f"Cancelled {len(left.orphans)} jobs, removed {lock}. Run snakemake as before.")

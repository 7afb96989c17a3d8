"""A whole study whose processes are killed: what the tables say after the documented resume.

    python tests/faults/study_kills.py --kills 40

A study of seconds runs to its tables through the real Snakemake. At a random moment of the time
that an undisturbed run takes, all its processes get SIGKILL: Snakemake, its jobs, theirs. Then come
`python -m engram resume --clean` and the same command, killed in turn or not. Once a run has
ended, every table must have the bytes of the undisturbed run's, and no job that a killed run had
finished may have been started again. The next study begins with nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from checkout import Checkout, copy_project

SCHEDULE = [
    {"exposures": 2, "natural": 4, "templates": 2},
    {"exposures": 60, "natural": 24, "templates": 2},
]
TRAINING = {"learning_rate": 0.002, "warmup_steps": 5, "checkpoint_steps": 10}
DRILLING = {"schedule": SCHEDULE, "training": TRAINING, "replay_share": 0.2}
MICRO = {
    "study": "micro",
    "models": [
        {
            "name": "nursery",
            "source": "nursery",
            "windows": 350,
            "shards": 1,
            "drilling": DRILLING,
        }
    ],
    "taxonomies": ["Non-Memo, Guess, Others"],
    "flow": [],
    "samples": {"per_class": 30, "minimum": 10},
    "cnn": {
        "kernels": [6],
        "features": [4],
        "head_poolings": ["mean", "max"],
        "epochs": 4,
        "baselines": ["token_identity"],
    },
    "statistics": {"resamples": 100},
}
"""Every stage from drilling to the scores, with state that is kept inside two of its jobs, drilling
and extraction, and CNN parts.
"""

TABLES = [
    f"results/micro/tables/{name}.csv"
    for name in ("scores", "counts", "verification", "truth", "recall_by_kind")
]
PATIENCE = 600.0
"""Seconds after which a run hangs."""


@dataclass
class Jobs:
    """What one run of Snakemake says of its jobs, each a rule: there is one job of every rule."""

    started: set[str] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, screen: str) -> Jobs:
        """Read from what it printed."""
        started = set(re.findall(r"^(?:local)?rule (\w+):$", screen, flags=re.MULTILINE))
        return cls(
            started,
            set(re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)$", screen, flags=re.MULTILINE)),
        )


def session(leader: int) -> Iterator[int]:
    """Processes that descend from one that was started in a session of its own."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rsplit(")", 1)[1].split()[3]) == leader:
                yield int(status.parent.name)
        except (OSError, IndexError):
            continue


def kill_all(leader: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a process and all its descendants, until none is left."""
    while left := [
        pid for pid in session(leader.pid) if pid != leader.pid or leader.poll() is None
    ]:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


def run(study: Checkout, seconds: float) -> tuple[bool, Jobs]:
    """Runs the study to its tables, and kills it after some seconds: whether it ended before, and
    what it did.

    Raises:
        RuntimeError: it failed by itself.
    """
    command = [str(Path(sys.executable).with_name("snakemake")), *TABLES]
    settings = os.environ | {"PYTHONPATH": str(study.folder / "workflow"), "PYTHONUNBUFFERED": "1"}
    screen = study.folder / "screen.txt"
    with screen.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=study.folder,
            env=settings,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            kill_all(process)
            return False, Jobs.of(screen.read_text())
    if process.returncode:
        raise RuntimeError(f"a run failed by itself:\n{screen.read_text()[-4000:]}")
    return True, Jobs.of(screen.read_text())


def resume(study: Checkout) -> None:
    """What README.md says to do after a kill."""
    settings = os.environ | {"PYTHONPATH": str(study.folder / "workflow")}
    subprocess.run(
        [sys.executable, "-m", "engram", "resume", "--clean"],
        cwd=study.folder,
        env=settings,
        check=True,
        capture_output=True,
    )


def tables(study: Checkout) -> dict[str, bytes]:
    """The bytes of every table."""
    return {name: (study.folder / name).read_bytes() for name in TABLES}


def clear(study: Checkout) -> None:
    """Back to a fresh checkout."""
    for name in ("results", ".snakemake"):
        shutil.rmtree(study.folder / name, ignore_errors=True)


def killed_study(
    study: Checkout, odds: random.Random, duration: float, most: int
) -> tuple[Counter[str], int, float]:
    """One study from nothing to its tables, killed at most so often: which rules the kills hit, how
    many kills there were, and the seconds of the last run.

    Raises:
        RuntimeError: a job that was finished ran again.
    """
    clear(study)
    hits: Counter[str] = Counter()
    finished: set[str] = set()
    kills = 0
    while True:
        began = time.monotonic()
        ended, jobs = run(study, odds.uniform(0, duration) if kills < most else PATIENCE)
        if again := finished & jobs.started:
            raise RuntimeError(
                f"finished before a kill and started again after it: {', '.join(sorted(again))}"
            )
        finished |= jobs.finished
        if ended:
            return hits, kills, time.monotonic() - began
        if kills == most:
            raise RuntimeError(f"a run does not end in {PATIENCE:.0f} s")
        hits.update(jobs.started - jobs.finished or {"between jobs"})
        kills += 1
        resume(study)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    odds = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        study = copy_project(Path(temporary), forked=False)
        (study.folder / "config.yaml").write_text(yaml.safe_dump(MICRO, sort_keys=False))
        began = time.monotonic()
        if not run(study, 3 * PATIENCE)[0]:
            sys.exit(
                f"error: the undisturbed run does not end in {3 * PATIENCE:.0f} s; is the machine "
                f"busy?"
            )
        duration = time.monotonic() - began
        expected = tables(study)
        print(f"undisturbed: {duration:.0f} s, {len(TABLES)} tables", flush=True)
        hits: Counter[str] = Counter()
        kills = studies = 0
        while kills < options.kills:
            hit, count, last = killed_study(study, odds, duration, options.kills - kills)
            studies, kills = studies + 1, kills + count
            if not count:  # the machine has become faster than it was
                duration = min(duration, last)
            hits += hit
            if wrong := [
                name for name, content in tables(study).items() if content != expected[name]
            ]:
                sys.exit(
                    f"error: study {studies}, killed {count} times: {', '.join(wrong)} differ from "
                    f"the undisturbed run's"
                )
            print(
                f"study {studies}: {count} kills ({', '.join(sorted(hit)) or 'none'}), tables "
                f"equal; {kills} of {options.kills}",
                flush=True,
            )
        seconds = time.monotonic() - began
    print(
        f"{kills} kills of {studies} studies in {seconds / 60:.0f} min: every table byte-equal, no "
        f"finished job started again."
    )
    print("Hit: " + ", ".join(f"{rule} {count}" for rule, count in hits.most_common()))


if __name__ == "__main__":
    main()

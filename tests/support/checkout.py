"""A copy of the checkout in which tests run the real Snakemake on a tiny study, and may change
anything.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import warm
import yaml

ROOT = Path(__file__).parents[2]

BASELINES = ["token_identity", "random_weights", "scalar_features", "hidden_states"]
TINY = {
    "study": "tiny",
    "models": [
        {
            "name": "nursery",
            "source": "nursery",
            "windows": 700,
            "drilling": {
                "schedule": [
                    {"exposures": 2, "natural": 10, "templates": 4},
                    {"exposures": 60, "natural": 40, "templates": 4},
                ],
                "replay_share": 0.2,
                "training": {"learning_rate": 0.002, "warmup_steps": 10, "checkpoint_steps": 20},
            },
        }
    ],
    "taxonomies": ["Non-Memo, Guess, Others", "Non-Memo, Reconstruct, Others"],
    "flow": ["Non-Memo, Reconstruct, Others", "Non-Memo, Guess, Others"],
    "samples": {"per_class": 30, "minimum": 10},
    "cnn": {
        "kernels": [6],
        "features": [4],
        "head_poolings": ["mean"],
        "epochs": 2,
        "baselines": BASELINES,
    },
    "saliency": {"methods": ["guided", "gradcam"], "samples_per_class": 5, "check_samples": 5},
    "knockout": {
        "taxonomies": ["Non-Memo, Guess, Others"],
        "samples_per_class": 4,
        "sizes": [0.05],
        "draws": 2,
        "operations": ["remove"],
        "curve_points": 2,
    },
    "statistics": {"resamples": 100},
}
"""Seconds of drilling, 30 samples a class, one small CNN: every stage is real."""
TOKEN = "hf_" + "PlantedByTheTests" * 2
"""A token that the tiny study finds in its environment."""


LIMIT = 900.0
"""Seconds within which a run of Snakemake ends."""
SPEAKING = {"PYTHONFAULTHANDLER": "1", "PYTHONUNBUFFERED": "1"}
"""So that a run that is aborted has written all that it said, and where its threads were."""


def _within_limit(
    command: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command; one that does not end is aborted, and fails with what it said."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            printed, _ = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            printed, _ = process.communicate()
            pytest.fail(f"did not end within {LIMIT:g} s:\n{printed[-12000:]}")
    return subprocess.CompletedProcess(command, process.returncode, printed)


@dataclass
class Checkout:
    """A copy of the project in which Snakemake runs."""

    folder: Path
    forked: bool = True
    """Whether Snakemake and its jobs are forks that have their imports already (see `warm`)."""

    def command(self, *arguments: str) -> list[str]:
        """Snakemake's command line. Workers of pytest-xdist share the cores; other threads, other
        bytes of a drilling.
        """
        workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        cores = ("--cores", str(max(1, (os.cpu_count() or 1) // workers))) if workers > 1 else ()
        return [str(Path(sys.executable).with_name("snakemake")), *cores, *arguments]

    def snakemake(
        self, *arguments: str, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs Snakemake as a user would; stdout and stderr come back together."""
        settings = os.environ | {"PYTHONPATH": str(self.folder / "workflow")} | environment
        command = self.command(*arguments)
        if self.forked:
            status, printed = warm.snakemake(command[1:], self.folder, settings)
            result = subprocess.CompletedProcess(command, status, printed)
        else:
            result = _within_limit(command, self.folder, settings | SPEAKING)
        if check and result.returncode:
            pytest.fail(
                f"{' '.join(arguments)} ended with {result.returncode}:\n{result.stdout[-6000:]}"
            )
        return result

    def configure(self, **changes: object) -> None:
        """Writes config.yaml: the tiny study with some keys changed."""
        (self.folder / "config.yaml").write_text(yaml.safe_dump(TINY | changes, sort_keys=False))

    def planned(self, *arguments: str) -> dict[str, int]:
        """Return the rules that would run now with their number of jobs, without `all`."""
        text = self.snakemake("-n", "--quiet", "rules", *arguments).stdout
        jobs = re.findall(r"^(\w+)\s+(\d+)$", text, flags=re.MULTILINE)
        return {rule: int(count) for rule, count in jobs if rule not in ("all", "total")}

    def edit(self, file: str, old: str, new: str) -> None:
        """Replaces a text that must stand once in a file."""
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} has {text.count(old)} times {old!r}"
        path.write_text(text.replace(old, new))


def copy_project(target: Path, forked: bool = True) -> Checkout:
    """The files that git knows or would add, copied."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    checkout = Checkout(target, forked)
    checkout.configure()
    return checkout

"""Measures first contact: `make demo` from a fresh clone, installation included, on a quiet machine
and beside one busy loop.

Each run has a clone and a virtual environment of its own; packages come from pip's cache after the
first run, so `--warm` installs once before the measurement. Close other programs first.

    python perf/first_contact.py --warm
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import tempfile
import time
from pathlib import Path

from busy import beside

ROOT = Path(__file__).parents[1]


def clone(folder: Path) -> Path:
    """Return a fresh clone of what is committed here."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    return folder


def timed(checkout: Path, *targets: str) -> tuple[float, float]:
    """Return wall and CPU seconds of `make` in a clone; its output is kept beside the clone.

    Raises:
        SystemExit: it failed; the message names the output.
    """
    output = checkout.with_suffix(".log")
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with output.open("w") as file:
        make = subprocess.run(
            ["make", *targets], cwd=checkout, stdout=file, stderr=subprocess.STDOUT, check=False
        )
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
    if make.returncode:
        raise SystemExit(f"make {' '.join(targets)} failed; its output is {output}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--warm", action="store_true", help="fill pip's cache first")
    parser.add_argument("--folder", type=Path, help="where clones are kept; default: nowhere")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if arguments.warm:
            timed(clone(folder / "warm"), ".venv/installed")
        print(
            "| machine | installation | study and report | all | CPU min |\n|---|---|---|---|---|"
        )
        walls = []
        for loops, machine in ((0, "quiet"), (1, "beside a busy loop")):
            checkout = clone(folder / machine.replace(" ", "-"))
            with beside(loops):
                install, first = timed(checkout, ".venv/installed")
                demo, second = timed(checkout, "demo")
            walls.append(install + demo)
            minutes = [f"{part / 60:.1f} min" for part in (install, demo, install + demo)]
            print(
                f"| {machine} | {' | '.join(minutes)} | {(first + second) / 60:.1f} |", flush=True
            )
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        print(f"\nBusy against quiet: {walls[1] / walls[0]:.2f} ×; ", end="")
        print(f"largest process: {largest:.1f} GiB")


if __name__ == "__main__":
    main()

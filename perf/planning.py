"""What planning costs: a dry run of a study beside one of a bare Snakefile of 700 jobs, and the
same once all is finished.

    python perf/planning.py [--configfile studies/paper.yaml] [--rounds 5]

The bare Snakefile has one rule of 700 jobs, which copy a file, and one that asks for all. Both are
planned in turn, each round the other first. For the plan with nothing to do all outputs are made
empty in a copy of the checkout and noted as finished (`snakemake --touch`). CPU seconds, user and
system; the median over rounds, and the ratio of medians.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
JOBS = 700
BARE = f"""\
rule all:
    input:
        expand("made/{{number}}.txt", number=range({JOBS}))


rule copy:
    input:
        "given/{{number}}.txt"
    output:
        "made/{{number}}.txt"
    shell:
        "cp {{input}} {{output}}"
"""


def snakemake(folder: Path, *arguments: str) -> tuple[float, str]:
    """CPU seconds of a Snakemake process in a folder, and what it wrote."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "snakemake", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{folder}/workflow"},
        text=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(
            f"snakemake {' '.join(arguments)} in {folder} ended with "
            f"{done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}"
        )
    return (
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        done.stdout + done.stderr,
    )


def finish(folder: Path, *arguments: str) -> None:
    """Makes every file that a plan would, empty, and notes it as finished."""
    _, screen = snakemake(folder, "--dry-run", *arguments)
    for line in re.findall(r"^    output: (.+)$", screen, flags=re.MULTILINE):
        for name in line.split(", "):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    snakemake(folder, "--touch", "--cores", "1", *arguments)
    if "Nothing to be done" not in snakemake(folder, "--dry-run", *arguments)[1]:
        sys.exit(f"{folder}: a finished study has something to do")


def compare(what: str, places: dict[str, tuple[Path, tuple[str, ...]]], rounds: int) -> None:
    """Plans in turn and prints medians and their ratio."""
    seconds: dict[str, list[float]] = {name: [] for name in places}
    for number in range(rounds + 1):
        for name, (folder, arguments) in sorted(places.items(), reverse=bool(number % 2)):
            spent, _ = snakemake(folder, "--dry-run", "--quiet", *arguments)
            if number:  # the first round fills caches
                seconds[name].append(spent)
    (study, own), (bare, plain) = sorted(
        ((name, median(times)) for name, times in seconds.items()),
        key=lambda item: item[0] == "bare",
    )
    print(
        f"{what:<16} {study} {own:.2f} s   {bare} {plain:.2f} s   ratio {own / plain:.2f}",
        flush=True,
    )


def main() -> None:
    """The benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--configfile", default="studies/paper.yaml")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        checkout, bare = Path(temporary, "checkout"), Path(temporary, "bare")
        subprocess.run(["git", "clone", "-q", str(ROOT), str(checkout)], check=True)
        (bare / "given").mkdir(parents=True)
        (bare / "Snakefile").write_text(BARE)
        for number in range(JOBS):
            (bare / f"given/{number}.txt").touch()
        places: dict[str, tuple[Path, tuple[str, ...]]] = {
            "study": (checkout, ("--configfile", options.configfile)),
            "bare": (bare, ()),
        }
        _, screen = snakemake(
            checkout, "--dry-run", "--quiet", "rules", "--configfile", options.configfile
        )
        print(
            f"jobs: {' '.join(re.findall(r'^total +([0-9]+)$', screen, flags=re.MULTILINE))} and "
            f"{JOBS + 1}"
        )
        compare("a first plan", places, options.rounds)
        for folder, arguments in places.values():
            finish(folder, *arguments)
        compare("nothing to do", places, options.rounds)


if __name__ == "__main__":
    main()

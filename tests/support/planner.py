"""Plans of many changed studies in one process: what `snakemake -n --quiet rules` prints after each
change.

A dry run spends most of its time on imports. This script imports once and forks for every change,
so that a hundred real dry runs take less than a minute: `python planner.py FOLDER [ARGUMENT …] <
changes.json > plans.json`. A change is a list of edits, each a file under FOLDER and what to write
to it (null: touch it); files and their times are put back after its plan.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema  # noqa: F401  (imported for the children)
import pandas as pd  # noqa: F401
import pyarrow.parquet as pq  # noqa: F401
from snakemake.cli import main

Edits = list[tuple[str, str | None]]


def apply(folder: Path, edits: Edits) -> list[tuple[Path, bytes, os.stat_result]]:
    """Makes the edits; what the files held comes back."""
    before = []
    for name, content in edits:
        path = folder / name
        before.append((path, path.read_bytes(), path.stat()))
        if content is None:
            path.touch()
        else:
            path.write_text(content)
    return before


def planned(arguments: list[str]) -> dict[str, int]:
    """Jobs by rule of one dry run in the working folder, `all` left out; it runs in a child and
    leaves nothing in this process.
    """
    with tempfile.TemporaryFile("w+") as printed:
        child = os.fork()
        if not child:
            os.dup2(printed.fileno(), 1)
            os.dup2(printed.fileno(), 2)
            main(["-n", "--quiet", "rules", *arguments])
            os._exit(1)  # main exits by itself
        _, status = os.waitpid(child, 0)
        printed.seek(0)
        text = printed.read()
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(text[-4000:])
    jobs = re.findall(r"^(\w+)\s+(\d+)$", text, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in jobs if rule not in ("all", "total")}


def plans(
    folder: Path, changes: dict[str, Edits], arguments: list[str]
) -> dict[str, dict[str, int]]:
    """The plan after each change alone."""
    os.chdir(folder)
    found = {}
    for name, edits in changes.items():
        before = apply(folder, edits)
        try:
            found[name] = planned(arguments)
        finally:
            for path, content, status in before:
                path.write_bytes(content)
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return found


def plans_beside(
    folder: Path, changes: dict[str, Edits], workers: int
) -> dict[str, dict[str, int]]:
    """The same, shared out over processes of their own, each with a copy of the folder."""
    names = list(changes)
    running = []
    with tempfile.TemporaryDirectory() as temporary:
        for worker in range(workers):
            copy = Path(temporary) / str(worker)
            shutil.copytree(folder, copy, symlinks=True)
            settings = os.environ | {"PYTHONPATH": str(copy / "workflow")}
            process = subprocess.Popen(
                [sys.executable, __file__, str(copy)],
                env=settings,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            running.append((process, {name: changes[name] for name in names[worker::workers]}))
        found: dict[str, dict[str, int]] = {}
        with ThreadPoolExecutor(workers) as pool:
            printed = list(
                pool.map(lambda pair: pair[0].communicate(json.dumps(pair[1]))[0], running)
            )
        if any(process.returncode for process, _ in running):
            raise RuntimeError("a plan failed; its error stands above")
        for output in printed:
            found |= json.loads(output)
    return {name: found[name] for name in names}


if __name__ == "__main__":
    json.dump(plans(Path(sys.argv[1]), json.load(sys.stdin), sys.argv[2:]), sys.stdout)

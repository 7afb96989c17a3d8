"""Plans of many changed studies in one process: what `snakemake -n --quiet rules` prints after each
change.

A dry run spends most of its time on imports and on reading the rules. This script imports once,
Engram included, and forks for every change, so that a hundred real dry runs take less than a
minute: `python planner.py FOLDER [ARGUMENT …] < changes.json > plans.json`. A change is a list of
edits, each a file under FOLDER and what to write to it (null: touch it); files and their times are
put back after its plan.
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

import warm

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
            status = 1
            try:
                status = warm.ended_by(["snakemake", "-n", "--quiet", "rules", *arguments])
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)  # nothing of the parent is undone here
        _, status = os.waitpid(child, 0)
        printed.seek(0)
        text = printed.read()
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(text[-4000:])
    jobs = re.findall(r"^(\w+)\s+(\d+)$", text, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in jobs if rule not in ("all", "total")}


def import_engram(folder: Path) -> None:
    """Import what the rules import of Engram; a plan depends on the text of code, not on what this
    process has loaded.
    """
    for rules in sorted((folder / "rules").glob("*.smk")):
        for line in re.findall(r"^from engram\b[^(\n]*$", rules.read_text(), flags=re.MULTILINE):
            exec(line, {})


def digest_code(folder: Path, memory: Path) -> None:
    """Have forks share the digests of all code but what a change edits: most of a plan."""
    from engram.run import digests

    digests.code_digests(folder / "workflow" / "scripts", memory)
    digests._code.cache_clear()


def plans(
    folder: Path, changes: dict[str, Edits], arguments: list[str]
) -> dict[str, dict[str, int]]:
    """The plan after each change alone."""
    os.chdir(folder)
    warm.import_all(warm.OF_PLANS)
    import_engram(folder)
    found = {}
    with tempfile.TemporaryDirectory() as parsed:
        warm.remember_parsed(Path(parsed))
        digest_code(folder, Path(parsed, "digests.json"))
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

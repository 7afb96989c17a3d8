"""What `engram resume` says and does; the fault matrix has SLURM's own answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engram.io.errors import EngramError
from engram.run import resume
from engram.run.resume import Left, Orphan, clean, describe, look


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> list[Orphan]:
    """The jobs that SLURM knows of the folder; `scancel` empties it."""
    jobs: list[Orphan] = []
    monkeypatch.setattr(resume, "orphans", lambda folder: list(jobs))
    monkeypatch.setattr(
        resume.subprocess,
        "run",
        lambda command, **_: jobs.clear() if command[0] == "scancel" else None,
    )
    return jobs


def locked(folder: Path) -> Path:
    lock = folder / ".snakemake/locks/0.input.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("file")
    return lock


def test_a_clean_folder_has_nothing_to_resume(tmp_path: Path, queue: list[Orphan]) -> None:
    assert describe(look(tmp_path)).startswith("Nothing was left behind")


def test_lock_and_orphans_are_named_with_the_commands_that_remove_them(
    tmp_path: Path, queue: list[Orphan]
) -> None:
    locked(tmp_path)
    queue.append(Orphan("17", "RUNNING", "knock_out"))
    text = describe(look(tmp_path))
    assert "Lock: stale" in text
    assert "Orphan: SLURM job 17, running, knock_out" in text
    assert "scancel 17; snakemake --unlock" in text


def test_cleaning_cancels_and_unlocks(tmp_path: Path, queue: list[Orphan]) -> None:
    lock = locked(tmp_path)
    queue.append(Orphan("17", "RUNNING", "knock_out"))
    assert len(clean(tmp_path).orphans) == 1
    assert not queue
    assert not lock.exists()


def test_a_job_that_does_not_end_keeps_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = locked(tmp_path)
    monkeypatch.setattr(resume, "orphans", lambda folder: [Orphan("17", "COMPLETING", "knock_out")])
    monkeypatch.setattr(resume.subprocess, "run", lambda *_, **__: None)
    monkeypatch.setattr(resume, "PATIENCE", -1.0)
    with pytest.raises(EngramError, match="jobs 17 do not end; the lock stays"):
        clean(tmp_path)
    assert lock.exists()


def test_a_live_run_is_left_alone(tmp_path: Path, queue: list[Orphan]) -> None:
    lock = locked(tmp_path)
    # A process that looks like Snakemake: its name, and the folder that it works in.
    program = tmp_path / "snakemake"
    program.write_text("import time\ntime.sleep(60)\n")
    with subprocess.Popen([sys.executable, str(program)], cwd=tmp_path) as process:
        try:
            with pytest.raises(EngramError, match=f"process {process.pid}"):
                clean(tmp_path)
        finally:
            process.kill()
    assert lock.exists()


def test_without_an_answer_of_slurm_nothing_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = locked(tmp_path)
    tool = tmp_path / "squeue"
    tool.write_text(
        "#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact slurm controller' >&2\nexit 1\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(
        EngramError, match="Unable to contact slurm controller; jobs of this folder may still run"
    ):
        clean(tmp_path)
    assert lock.exists()


def test_jobs_of_other_folders_and_other_work_are_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "squeue"
    rows = [
        f"1|RUNNING|{tmp_path}|rule_a_wildcards_b",
        f"2|RUNNING|{tmp_path.parent}|rule_a",
        f"3|PENDING|{tmp_path}|(null)",
    ]
    tool.write_text("#!/bin/sh\n" + "".join(f"echo '{row}'\n" for row in rows))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert resume.orphans(tmp_path) == [Orphan("1", "RUNNING", "a_wildcards_b")]


def test_what_is_alive_is_said() -> None:
    assert "waits for 1 jobs" in describe(Left([4], 2, [Orphan("17", "RUNNING", "a")]))

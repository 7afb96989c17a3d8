"""Killed jobs, two jobs on one shard, a full disk: never a wrong or half shard, always a clean
resume or a clear error.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from killed_extraction import (
    PREFIX,
    ROWS,
    SEQUENCES,
    SETTINGS,
    build,
    check_whole,
    processes,
    reference,
    run,
    start,
)

from engram.io.errors import EngramError
from engram.store import attention_file
from engram.store.parts import row_keys
from engram.store.shards import ShardReport


@pytest.fixture(scope="module")
def expected() -> tuple[dict, dict]:
    """Return which sequence each key belongs to, and the model's attention of them."""
    tokens = SEQUENCES["tokens"].tolist()
    return {
        key: row for row, key in enumerate(row_keys(tokens, PREFIX, SETTINGS.mean_dtype))
    }, reference()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that has room for half a shard."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "engram-test", str(folder)]
    if (
        os.geteuid()
        or shutil.which("mount") is None
        or subprocess.run(command, capture_output=True, check=False).returncode
    ):
        pytest.skip("a tmpfs can be mounted by root alone, and by it not in every container")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_killed_runs_leave_whole_files_and_are_resumed() -> None:
    assert run(kills=6, seed=1).total() == 6


def test_two_jobs_on_one_shard_end_with_the_right_one(
    tmp_path: Path, expected: tuple[dict, dict]
) -> None:
    jobs = [start(processes(), tmp_path) for _ in range(2)]
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0]
    check_whole(tmp_path, *expected)
    assert build(tmp_path) == ShardReport(ROWS, 0)


def test_a_full_disk_is_said_before_anything_is_written(small_disk: Path) -> None:
    with pytest.raises(
        EngramError, match=r"cannot be written, it takes .* MB are free; make room and run again"
    ):
        build(small_disk)
    assert not (small_disk / "shard-0.h5").exists()


def test_a_disk_that_fills_up_while_a_file_is_written_leaves_no_half_file(
    small_disk: Path, expected: tuple[dict, dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if another program took the space after it was measured.
    with monkeypatch.context() as patch:
        patch.setattr(
            attention_file.shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 40)
        )
        with pytest.raises(
            EngramError,
            match=r"cannot be written \(No space left on device\); resolve that and run again",
        ):
            build(small_disk)
    assert not (small_disk / "shard-0.h5").exists()
    assert not list(small_disk.rglob("*.partial"))
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    report = build(small_disk)
    assert 0 < report.forwards < ROWS
    check_whole(small_disk, *expected)


def test_a_disk_that_fills_up_while_a_shard_is_put_together_leaves_no_half_shard(
    small_disk: Path, expected: tuple[dict, dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pieces fit, the shard does not; the process goes on afterwards."""
    subprocess.run(["mount", "-o", "remount,size=900k", str(small_disk)], check=True)
    with monkeypatch.context() as patch:
        patch.setattr(
            attention_file.shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 40)
        )
        with pytest.raises(EngramError, match=r"\.h5: cannot be written \(No space left on device"):
            build(small_disk)
    assert not list(small_disk.rglob("*.h5")) and not list(small_disk.rglob("*.partial"))
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    assert build(small_disk) == ShardReport(ROWS, 0)
    check_whole(small_disk, *expected)

"""The tiny study, run once; tests that change something get a copy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from checkout import TOKEN, Checkout, copy_project
from filelock import FileLock


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The tiny study, run once for all tests; tests leave it as they find it (see `study`).

    Of several workers one runs it, and each has a copy: a folder in which Snakemake is at work is
    locked for others.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" not in os.environ:
        run_tiny_study(base / "finished")
        return Checkout(base / "finished")
    shared, done = base.parent / "finished", base.parent / "finished.done"
    with FileLock(base.parent / "finished.lock"):
        if not done.exists():
            shutil.rmtree(shared, ignore_errors=True)  # of a worker that failed
            run_tiny_study(shared)
            done.touch()
        shutil.copytree(shared, base / "finished", symlinks=True)
    return Checkout(base / "finished")


def run_tiny_study(folder: Path) -> None:
    """Run the tiny study in a fresh copy of the project, by the real command, and its report."""
    folder.mkdir()
    checkout = copy_project(folder, forked=False)
    (folder / "copied.txt").write_text(
        "\n".join(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    )
    checkout.snakemake(HF_TOKEN=TOKEN, HUGGING_FACE_HUB_TOKEN=TOKEN)
    checkout.snakemake("--report", "report.html")


@pytest.fixture
def study(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished study, with its file times: for a test that changes something."""
    shutil.copytree(finished.folder, tmp_path / "engram", symlinks=True)
    return Checkout(tmp_path / "engram")

"""The tiny study, run once; tests that change something get a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from checkout import BASELINES, ROOT, TINY, Checkout, copy_project

__all__ = ["BASELINES", "ROOT", "TINY", "Checkout", "copy_project"]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The tiny study, run once for all tests; tests leave it as they find it (see `study`)."""
    checkout = copy_project(tmp_path_factory.mktemp("engram"))
    checkout.snakemake()
    return checkout


@pytest.fixture
def study(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished study, with its file times: for a test that changes something."""
    shutil.copytree(finished.folder, tmp_path / "engram", symlinks=True)
    return Checkout(tmp_path / "engram")

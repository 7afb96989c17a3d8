"""A killed run goes on, and ends with the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from checkout import Checkout, copy_project

from engram.run.records import checksum

DRILLED = "results/tiny/nursery/model/model.safetensors"


def test_a_killed_drilling_resumes_to_the_same_bytes(finished: Checkout, tmp_path: Path) -> None:
    study = copy_project(tmp_path / "engram", forked=False)
    parts = study.folder / "results/.parts"
    settings = os.environ | {"PYTHONPATH": str(study.folder / "workflow")}
    with subprocess.Popen(
        study.command(DRILLED),
        cwd=study.folder,
        env=settings,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    ) as run:
        deadline = time.monotonic() + 180
        while (
            not any(parts.glob("drilling-*/*.safetensors"))
            and run.poll() is None
            and time.monotonic() < deadline
        ):
            time.sleep(0.02)
        assert run.poll() is None, (
            "the drilling ended before it could be killed; make checkpoint_steps smaller"
        )
        os.killpg(run.pid, signal.SIGKILL)
    assert not (study.folder / DRILLED).exists()
    study.snakemake("--unlock")
    study.snakemake(DRILLED)
    assert "resumed" in (study.folder / "results/tiny/logs/nursery/drill_nursery.log").read_text()
    assert checksum(study.folder / DRILLED) == checksum(finished.folder / DRILLED)

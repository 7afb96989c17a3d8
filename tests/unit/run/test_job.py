"""What a job writes where: its log holds everything, the terminal nothing."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engram.io.errors import EngramError
from engram.run import job as job_module


@pytest.fixture
def snakemake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(job_module, "input_checksums", lambda _: {})
    monkeypatch.setattr(job_module, "record_outputs", lambda *_: None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return SimpleNamespace(threads=1, input=[], log=[str(tmp_path / "logs/job.log")])


def test_progress_goes_to_the_log_alone(snakemake: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with job_module.job(snakemake):
        print("drilling: 50%", file=sys.stderr)
    assert Path(snakemake.log[0]).read_text() == "drilling: 50%\n"
    assert capsys.readouterr().err == ""


def test_a_users_error_is_one_line_of_the_log(snakemake: Any) -> None:
    before = sys.stderr
    with pytest.raises(SystemExit), job_module.job(snakemake):
        raise EngramError("no such window")
    assert Path(snakemake.log[0]).read_text() == "error: no such window\n"
    assert sys.stderr is before

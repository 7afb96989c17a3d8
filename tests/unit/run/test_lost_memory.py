"""Records know what is outdated where Snakemake has lost its memory."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from engram.run.lost_memory import refresh
from engram.run.paths import without_braces
from engram.run.records import input_checksums, record_outputs
from engram.run.settings_files import SettingsFiles, forget_earlier

RESULTS, MEMORY = Path("results/own"), Path(".snakemake")
LONG_AGO = 1_000_000_000


def run(inputs: list[str], output: str) -> None:
    """A job that writes its output."""
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    Path(output).write_text(f"made of {inputs}")
    job = SimpleNamespace(rule="rule", output=[output], wildcards={})
    record_outputs(job, {}, input_checksums(inputs))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Samples made by settings, CNNs made of samples; all of one time."""
    monkeypatch.chdir(tmp_path)
    path = RESULTS / "settings" / "draw.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"seed": 0}')
    run([str(path)], f"{RESULTS}/samples.parquet")
    run([f"{RESULTS}/samples.parquet"], f"{RESULTS}/cnns.csv")
    return path


def same_times() -> None:
    for path in RESULTS.rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO))


def test_an_outdated_result_becomes_older_than_its_input_alone(settings: Path) -> None:
    settings.write_text('{"seed": 1}')
    same_times()
    assert refresh(RESULTS, MEMORY) == {
        f"{RESULTS}/samples.parquet": str(settings),
        f"{RESULTS}/cnns.csv": f"{RESULTS}/samples.parquet",
    }
    assert settings.stat().st_mtime > LONG_AGO
    assert (RESULTS / "samples.parquet").stat().st_mtime == LONG_AGO


def test_a_mixed_study_is_told_by_its_records(settings: Path) -> None:
    """New samples, old CNNs."""
    settings.write_text('{"seed": 1}')
    run([str(settings)], f"{RESULTS}/samples.parquet")
    (RESULTS / "samples.parquet").write_text("others")
    run([str(settings)], f"{RESULTS}/samples.parquet")
    same_times()
    record_outputs(
        SimpleNamespace(rule="r", output=[f"{RESULTS}/cnns.csv"], wildcards={}),
        {},
        {f"{RESULTS}/samples.parquet": "another checksum"},
    )
    assert refresh(RESULTS, MEMORY) == {f"{RESULTS}/cnns.csv": f"{RESULTS}/samples.parquet"}
    assert (RESULTS / "samples.parquet").stat().st_mtime > LONG_AGO


def test_nothing_is_touched_where_all_is_current_or_remembered(settings: Path) -> None:
    same_times()
    assert refresh(RESULTS, MEMORY) == {}
    settings.write_text('{"seed": 1}')
    os.utime(settings, (LONG_AGO, LONG_AGO))
    assert refresh(RESULTS, MEMORY) == {}
    assert settings.stat().st_mtime == LONG_AGO


def test_a_job_forgets_what_its_settings_were_before(tmp_path: Path) -> None:
    """Else an edit that is taken back after a run would bring back the file with its old time."""
    path = SettingsFiles(tmp_path, {"draw": "c"}, True)("draw", seed=0)
    os.utime(path, (LONG_AGO, LONG_AGO))
    SettingsFiles(tmp_path, {"draw": "c"}, True)("draw", seed=1)
    forget_earlier([path, str(tmp_path / "samples.parquet")])
    SettingsFiles(tmp_path, {"draw": "c"}, True)("draw", seed=0)
    assert Path(path).stat().st_mtime > LONG_AGO


def test_a_path_with_braces_becomes_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "a {b} {"
    folder.mkdir()
    (folder / "t.csv").write_text("x")
    links = tmp_path / "links"
    for _ in range(2):
        path = without_braces(folder / "t.csv", links)
        assert "{" not in path and path.endswith(".csv") and Path(path).read_text() == "x"
    assert without_braces("plain/t.csv", links) == "plain/t.csv"

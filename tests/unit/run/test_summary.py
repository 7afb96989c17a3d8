"""What `make demo` prints last: tables, and where to look."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram.io.errors import EngramError
from engram.run.summary import command, pages_text


def test_pages_that_a_study_has_are_listed(tmp_path: Path) -> None:
    assert pages_text(tmp_path) == f"The report: {tmp_path / 'report.html'}"
    (tmp_path / "explorer_pairs.html").touch()
    assert pages_text(tmp_path).splitlines()[1:] == [
        f"Single windows of the pairs: {tmp_path / 'explorer_pairs.html'}"
    ]
    (tmp_path / "explorer.html").touch()
    assert len(pages_text(tmp_path).splitlines()) == 3


def test_a_study_of_pairs_prints_its_scores_and_pages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tables").mkdir()
    row = "all pairs,attention_mean,all,natural,0,assigned,1,139,0.58,0.5,0.66,0.02,0.57\n"
    columns = (
        "pair,input,trained_on,tested_on,dose,selection,pairs,windows,"
        "accuracy,accuracy_low,accuracy_high,p,null_95\n"
    )
    (tmp_path / "tables" / "crossed_scores.csv").write_text(columns + row)
    (tmp_path / "explorer_pairs.html").touch()
    command(tmp_path)
    said = capsys.readouterr().out
    assert "in 58 % [50, 66] of 139 natural" in " ".join(said.split())
    assert "0.580 [0.500, 0.660]" in said and said.endswith(f"{pages_text(tmp_path)}\n")


def test_a_folder_without_scores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngramError, match=r"scores\.csv: no such file"):
        command(tmp_path)

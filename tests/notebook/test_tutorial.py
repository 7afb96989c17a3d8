"""The tutorial, executed as a reader would: offline, from its first cell to its last."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from checkout import ROOT
from nbclient import NotebookClient

PAGE = ROOT / "docs" / "tutorial.ipynb"
PROMISES = """
removed = still["extracted"].unstack()
assert removed.loc["Δ of Others", "Others"] < removed.loc["Δ of Others: control", "Others"] - 0.1
assert still["extracted_intact"].eq(1).all()
assert delta.scores["balanced_accuracy"][0] > delta.scores["balanced_accuracy"][1]
assert shown[table.index[table["class"] == "Others"]].mean() > 0.9
assert done.returncode == 0, done.stderr
assert study.delta("Non-Memo, Guess, Others").classes == ["Non-Memo", "Guess", "Others"]
"""
"""What the text says about the numbers."""
VERBS = ("eg.load", "eg.label", "eg.attention", "eg.localize", "eg.knock_out", "eg.open")


@pytest.fixture(scope="module")
def written() -> nbformat.NotebookNode:
    return nbformat.read(PAGE, 4)


def test_it_runs_from_the_first_cell_to_the_last(
    written: nbformat.NotebookNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    notebook = nbformat.from_dict(written)
    notebook.cells.append(nbformat.v4.new_code_cell(PROMISES, id="promises"))
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=where).execute()
    assert not list(tmp_path.iterdir())  # it leaves nothing where it was started


def test_it_goes_through_every_door(written: nbformat.NotebookNode) -> None:
    code = "\n".join(cell.source for cell in written.cells if cell.cell_type == "code")
    places = [code.index(f"{verb}(") for verb in VERBS]
    assert places == sorted(places)


def test_its_outputs_are_kept_with_their_pictures_and_nothing_of_a_machine(
    written: nbformat.NotebookNode,
) -> None:
    code = [cell for cell in written.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 4
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    text = PAGE.read_text(encoding="utf-8")
    for place in (str(ROOT), str(Path.home()) + os.sep, "/tmp/", "site-packages"):
        assert place not in text

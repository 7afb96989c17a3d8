"""The audit from files, a document at a time: the same tables and page as in memory, and a memory
that does not grow with the number of documents.
"""

from __future__ import annotations

import tracemalloc
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from audited import PREFIX, SUFFIX, TEXTS, audited_model, filler, scored_windows
from tiny_sources import byte_tokenizer

from engram.auditing import streamed
from engram.auditing.documents import DocumentFile, documents_of_texts, write_documents
from engram.auditing.page import render
from engram.auditing.page_models import model_on_page
from engram.auditing.regions import Scored
from engram.auditing.settings import AuditSettings
from engram.auditing.streamed import AuditFiles, ScoredFile, write_audit
from engram.auditing.tables import REGION_COLUMNS, audit_windows
from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.io.errors import EngramError
from engram.taxonomy.taxonomy import Taxonomy
from engram.windows.labels import label

SETTINGS = AuditSettings()
TAXONOMY = Taxonomy.parse(SETTINGS.taxonomy)


def files(folder: Path) -> AuditFiles:
    names = (field.name for field in fields(AuditFiles))
    return AuditFiles(*(folder / f"{name}.parquet" for name in names))


def inputs(folder: Path, texts: dict[str, str], stride: int = 5) -> None:
    """Writes documents, candidates and labels."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "texts").mkdir()
    for name, text in texts.items():
        (folder / "texts" / name).write_text(text)
    source = (folder / "texts", "*", "text")
    write_documents(*source, byte_tokenizer(), folder / "documents_.parquet", {})
    _, windows = scored_windows(texts, stride)
    write_parquet(windows, folder / "candidates.parquet")
    write_parquet(label(windows, PREFIX)[0], folder / "labels.parquet", {"commit": "c"})


def stream(folder: Path) -> AuditFiles:
    documents, output = DocumentFile(folder / "documents_.parquet"), files(folder)
    arguments = (folder / "candidates.parquet", folder / "labels.parquet", PREFIX)
    metadata = read_metadata(folder / "labels.parquet")
    write_audit(documents, *arguments, TAXONOMY, SETTINGS, output, metadata)
    return output


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that end within documents."""
    monkeypatch.setattr(streamed, "AT_ONCE", 61)
    monkeypatch.setattr(streamed, "ROWS", 150)


@pytest.mark.usefixtures("small_batches")
def test_tables_are_those_of_an_audit_in_memory(tmp_path: Path) -> None:
    inputs(tmp_path, TEXTS)
    output = stream(tmp_path)
    documents, windows = scored_windows(TEXTS)
    labels, _ = label(windows, PREFIX)
    whole = audit_windows(documents, PREFIX, windows, labels, TAXONOMY, SETTINGS)
    for name in ("documents", "windows"):
        expected = getattr(whole, name)
        pd.testing.assert_frame_equal(read_parquet(getattr(output, name)), expected)
    pd.testing.assert_frame_equal(read_parquet(output.regions), whole.regions)
    assert len(whole.regions) >= 4 and len(whole.windows) > 600
    assert read_metadata(output.windows)["commit"] == "c"
    scored = ScoredFile(output.tokens)
    assert len(scored) == len(documents)
    for number in (2, 0, 3, 1):  # in any order
        for field in fields(Scored):
            values = getattr(scored[number], field.name)
            np.testing.assert_array_equal(values, getattr(whole.scored[number], field.name))
            assert values.dtype == getattr(whole.scored[number], field.name).dtype
    with pytest.raises(IndexError):
        scored[4]


def test_the_page_of_files_is_that_of_memory(tmp_path: Path) -> None:
    inputs(tmp_path, TEXTS)
    output = stream(tmp_path)
    model = audited_model("one", TEXTS)
    continuations = ["document", "region", "written", "agreed", "continuation", "agreed_text"]
    write_parquet(model.regions[continuations], tmp_path / "continuations.parquet")
    paths = {
        **{"summaries": output.documents, "windows": output.windows, "regions": output.regions},
        **{"tokens": output.tokens, "documents": tmp_path / "documents_.parquet"},
        "continuations": tmp_path / "continuations.parquet",
    }
    from_files = model_on_page("one", 5, paths, PREFIX)
    page = render("study", PREFIX, SUFFIX, [from_files], SETTINGS)
    assert page == render("study", PREFIX, SUFFIX, [model], SETTINGS)


def test_a_model_that_reproduces_nothing_has_empty_regions(tmp_path: Path) -> None:
    inputs(tmp_path, {"a.txt": filler(20, 1)})
    assert list(read_parquet(stream(tmp_path).regions)) == list(REGION_COLUMNS)


def test_what_has_changed_meanwhile_is_an_error(tmp_path: Path) -> None:
    inputs(tmp_path, TEXTS)
    labels = read_parquet(tmp_path / "labels.parquet")
    write_parquet(labels.iloc[::-1], tmp_path / "labels.parquet")
    with pytest.raises(EngramError, match=r"labels\.parquet: not the labels of .*candidates"):
        stream(tmp_path)
    write_parquet(labels, tmp_path / "labels.parquet")
    other = documents_of_texts(["alpha.txt"], [TEXTS["beta.txt"] * 3], byte_tokenizer())
    missing = documents_of_texts(["zeta.txt"], ["text"], byte_tokenizer())
    arguments = (tmp_path / "candidates.parquet", tmp_path / "labels.parquet", PREFIX)
    for documents in (other, missing):
        with pytest.raises(EngramError, match=r"document alpha\.txt has changed"):
            write_audit(documents, *arguments, TAXONOMY, SETTINGS, files(tmp_path), {})


@pytest.mark.usefixtures("small_batches")
def test_memory_does_not_grow_with_the_documents(tmp_path: Path) -> None:
    """Four times the documents take a little more: rows of tables, nothing of texts."""
    peaks = {}
    for count in (2, 8):
        folder = tmp_path / str(count)
        inputs(folder, {f"{number}.txt": filler(24, number) for number in range(count)}, 12)
        if count == 2:
            stream(folder)  # what is imported or cached on the first call counts for nothing
        tracemalloc.start()
        stream(folder)
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[8] < 1.4 * peaks[2]

"""A digest of the user's files: edits change it, reading does not."""

import os
from pathlib import Path
from typing import Any

import pytest

from engram.sources.state import model_state, source_state

EMPTY = {"model": "", "dataset": "", "table": "", "documents": "", "pattern": "*"}


@pytest.fixture
def entries(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """An entry of every kind, each with a file of its own that decides its candidates."""
    for name in (
        "model/model.safetensors",
        "data/data/pile.parquet",
        "tables/t.csv",
        "texts/deep/d.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("first")
    kinds = {
        "hub": {"dataset": "data"},
        "table": {"table": "tables"},
        "corpus": {"documents": "texts"},
        "model": {"model": "model"},
    }
    return {
        kind: EMPTY
        | {"source": "table" if kind == "model" else kind}
        | {key: str(tmp_path / path) for key, path in given.items()}
        for kind, given in kinds.items()
    }


@pytest.mark.parametrize(
    "kind, file",
    [
        ("hub", "data/data/pile.parquet"),
        ("table", "tables/t.csv"),
        ("corpus", "texts/deep/d.txt"),
        ("model", "model/model.safetensors"),
    ],
)
def test_an_edit_is_seen_and_a_look_is_not(
    kind: str, file: str, entries: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    before = source_state(entries[kind])
    (tmp_path / file).read_text()
    assert source_state(entries[kind]) == before
    state = (tmp_path / file).stat()
    (tmp_path / file).write_text("other")  # as many bytes
    os.utime(tmp_path / file, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert source_state(entries[kind]) != before


def test_files_that_the_pattern_leaves_out_do_not_count(
    entries: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    entry = entries["corpus"] | {"pattern": "*.txt"}
    before = source_state(entry)
    (tmp_path / "texts" / "notes.md").write_text("not read")
    assert source_state(entry) == before
    (tmp_path / "texts" / "new.txt").write_text("read")
    assert source_state(entry) != before


def test_what_is_not_there_has_no_state() -> None:
    assert source_state(
        EMPTY | {"source": "corpus", "documents": "no/such/folder"}
    ) == source_state(EMPTY | {"source": "nursery"})


def test_a_repository_has_no_state() -> None:
    assert model_state("owner/model") == model_state("")

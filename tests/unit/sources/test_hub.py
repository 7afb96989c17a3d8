"""The paper's data: where its files are, and the study's list of candidates."""

from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pandas as pd
import pytest
from tiny_sources import WINDOW, hub_rows, write_split

from engram.io.artifacts import read_metadata, read_parquet
from engram.io.errors import EngramError
from engram.sources.hub import COLUMNS, find_splits, write_candidates

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_the_list_is_the_splits_in_order_and_the_first_row_of_a_sequence(tmp_path: Path) -> None:
    pile, memories = hub_rows(40, seed=1), hub_rows(30, seed=2, first_id=25)
    files = write_split(tmp_path, "pile", pile, parts=3) + write_split(
        tmp_path, "memories", memories
    )
    write_candidates(files, tmp_path / "candidates.parquet", WINDOW, None, {"source": "hub"})
    expected = pd.concat([pile, memories]).drop_duplicates("sequence_id")
    found = read_parquet(tmp_path / "candidates.parquet")
    for ours, theirs in COLUMNS.items():
        assert found[ours].tolist() == expected[theirs].tolist(), ours
    np.testing.assert_array_equal(
        np.stack(found["tokens"].tolist()), np.stack(expected["tokens"].tolist())
    )
    # A window that both splits have is the draw's.
    assert found["pile"].tolist() == [True] * 40 + [False] * 15
    assert read_metadata(tmp_path / "candidates.parquet")["source"] == "hub"


def test_batches_do_not_change_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_split(tmp_path, "pile", hub_rows(40, seed=1)) + write_split(
        tmp_path, "memories", hub_rows(30, seed=2, first_id=25)
    )
    write_candidates(files, tmp_path / "at_once.parquet", WINDOW, None, {})
    monkeypatch.setattr("engram.sources.hub.read_rows.__defaults__", (7, ()))
    write_candidates(files, tmp_path / "batches.parquet", WINDOW, None, {})
    pd.testing.assert_frame_equal(
        read_parquet(tmp_path / "batches.parquet"), read_parquet(tmp_path / "at_once.parquet")
    )


def test_only_columns_that_are_used_are_read(tmp_path: Path) -> None:
    used = hub_rows(5)[[*COLUMNS.values(), "tokens"]]
    write_candidates(
        write_split(tmp_path, "pile", used), tmp_path / "candidates.parquet", WINDOW, None, {}
    )
    assert len(read_parquet(tmp_path / "candidates.parquet")) == 5


@pytest.mark.parametrize(
    "name",
    [
        "data/pile-00000-of-00001.parquet",
        "pile-00000-of-00001-1f2e3d.parquet",
        "data/pile.parquet",
        "pile.parquet",
    ],
)
def test_a_folder_may_hold_a_split_in_any_of_the_usual_ways(tmp_path: Path, name: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / name).touch()
    (tmp_path / "data" / "pile_more-00000-of-00001.parquet").touch()
    assert find_splits(tmp_path, None, ["pile"]) == ([tmp_path / name], "local")


def test_files_of_a_split_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    files = write_split(tmp_path, "pile", hub_rows(24), parts=12)
    assert find_splits(tmp_path, None, ["pile"])[0] == files


def test_a_missing_part_of_a_split_is_named(tmp_path: Path) -> None:
    write_split(tmp_path, "pile", hub_rows(9), parts=3)[1].unlink()
    with pytest.raises(EngramError, match="split pile lacks file 1 of 3"):
        find_splits(tmp_path, None, ["pile"])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub with one split of a data set, and no network."""
    repository = tmp_path / "hub" / "datasets--owner--windows"
    write_split(repository / "snapshots" / COMMIT, "pile", hub_rows(9))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return repository


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_the_cache_serves_without_a_network_and_tells_the_commit(
    cache: Path, revision: str | None
) -> None:
    files, commit = find_splits("owner/windows", revision, ["pile"])
    assert commit == COMMIT
    assert files == [cache / "snapshots" / COMMIT / "data" / "pile-00000-of-00001.parquet"]


@pytest.mark.parametrize(
    "dataset, revision", [("owner/windows", "v2"), ("owner/other", None), ("/no/such/folder", None)]
)
def test_what_the_cache_lacks_is_named(cache: Path, dataset: str, revision: str | None) -> None:
    with pytest.raises(
        EngramError, match=f"dataset {dataset}.*no such folder here, and the hub gives none"
    ):
        find_splits(dataset, revision, ["pile"])


def test_a_split_that_the_cache_lacks_is_named(cache: Path) -> None:
    with pytest.raises(EngramError, match="there is no split memories"):
        find_splits("owner/windows", None, ["pile", "memories"])

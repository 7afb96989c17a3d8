"""Labels in batches are the labels of all rows at once."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from tiny_sources import PREFIX, WINDOW, hub_rows, write_split

from engram.io.artifacts import read_metadata, read_parquet
from engram.io.errors import EngramError
from engram.io.streams import read_batches, stream_parquet
from engram.sources.candidates import window_table
from engram.sources.hub import write_candidates
from engram.windows import code_text, labelling
from engram.windows.code_classifier import CodeClassifier
from engram.windows.labelling import write_labels
from engram.windows.labels import label

ROWS = 7


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        labelling, "read_batches", lambda path, columns=None: read_batches(path, columns, ROWS)
    )


def candidates(path: Path, n: int = 40) -> Path:
    """Windows over three tokens, so that equal suffixes stand in different batches."""
    random = np.random.default_rng(0)
    tokens = random.integers(0, 3, (n, WINDOW), dtype=np.int32)
    columns = {
        "sequence_id": random.permutation(n),
        "text": [f"row {row}" if row % 2 else "int main() { return 0; }" for row in range(n)],
        "sequence_duplicates": random.integers(1, 9, n),
        "memorization_score": random.random(n),
    }
    with stream_parquet(path, {"source": "table"}) as stream:
        stream.append(window_table(tokens, columns))
    return path


def test_labels_are_those_of_all_rows_at_once(tmp_path: Path) -> None:
    write_labels(candidates(tmp_path / "c.parquet"), tmp_path / "l.parquet", PREFIX)
    expected, _ = label(read_parquet(tmp_path / "c.parquet"), PREFIX)
    pd.testing.assert_frame_equal(read_parquet(tmp_path / "l.parquet"), expected)


def test_several_processes_find_the_same_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelling, "ROWS", ROWS)
    write_labels(candidates(tmp_path / "c.parquet", 150), tmp_path / "one.parquet", PREFIX)
    write_labels(tmp_path / "c.parquet", tmp_path / "three.parquet", PREFIX, processes=3)
    pd.testing.assert_frame_equal(
        read_parquet(tmp_path / "three.parquet"), read_parquet(tmp_path / "one.parquet")
    )
    assert read_metadata(tmp_path / "three.parquet") == read_metadata(tmp_path / "one.parquet")


def test_an_error_in_another_process_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelling, "ROWS", ROWS)
    missing = CodeClassifier(str(tmp_path / "no.bin"))
    with pytest.raises(EngramError, match=r"no\.bin: no such file"):
        write_labels(
            candidates(tmp_path / "c.parquet", 150),
            tmp_path / "l.parquet",
            PREFIX,
            missing,
            processes=2,
        )
    assert not (tmp_path / "l.parquet").exists()


def test_the_column_says_how_code_was_found(tmp_path: Path) -> None:
    write_labels(candidates(tmp_path / "c.parquet"), tmp_path / "l.parquet", PREFIX)
    assert (
        pq.read_schema(tmp_path / "l.parquet").field("is_code").metadata[b"found_by"].decode()
        == code_text.METHOD
    )


def test_metadata_say_how_code_was_found(tmp_path: Path) -> None:
    write_labels(candidates(tmp_path / "c.parquet"), tmp_path / "l.parquet", PREFIX)
    metadata = read_metadata(tmp_path / "l.parquet")
    assert (metadata["source"], metadata["is_code"], metadata["labels_of_source"]) == (
        "table",
        code_text.METHOD,
        [],
    )


def test_labels_that_the_source_has_are_taken_as_they_are(tmp_path: Path) -> None:
    rows = hub_rows(30)
    write_candidates(write_split(tmp_path, "pile", rows), tmp_path / "c.parquet", WINDOW, None, {})
    write_labels(tmp_path / "c.parquet", tmp_path / "l.parquet", PREFIX)
    labels = read_parquet(tmp_path / "l.parquet")
    for column in (
        "is_repeating",
        "is_incrementing",
        "huffman_coding_length",
        "memorization_score",
        "sequence_duplicates",
        "max_frequency",
    ):
        assert labels[column].tolist() == rows[column].tolist(), column
    assert labels["prompt_perplexity_published"].tolist() == rows["prompt_perplexity"].tolist()
    assert "is_repeating" in read_metadata(tmp_path / "l.parquet")["labels_of_source"]


def test_a_sequence_in_two_batches_is_refused(tmp_path: Path) -> None:
    tokens = np.zeros((ROWS + 1, WINDOW), dtype=np.int32)
    with stream_parquet(tmp_path / "c.parquet", {}) as stream:
        stream.append(
            window_table(
                tokens,
                {
                    "sequence_id": np.array([*range(ROWS), 0]),
                    "memorization_score": np.ones(ROWS + 1),
                },
            )
        )
    with pytest.raises(EngramError, match="a sequence_id stands twice"):
        write_labels(tmp_path / "c.parquet", tmp_path / "l.parquet", PREFIX)
    assert not (tmp_path / "l.parquet").exists()

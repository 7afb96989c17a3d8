"""Large parquet files: written in parts and read in parts, the same file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.io.errors import EngramError
from engram.io.streams import read_batches, read_selected, stacked_tokens, stream_parquet
from engram.sources.candidates import window_table

TOKENS = np.arange(60, dtype=np.int32).reshape(10, 6)


def windows(part: slice = slice(None)) -> pa.Table:
    return window_table(
        TOKENS[part],
        {"sequence_id": np.arange(10)[part], "text": pa.array(list("abcdefghij"))[part]},
    )


def streamed(path: Path, size: int) -> Path:
    with stream_parquet(path, {"source": "hub"}) as stream:
        for start in range(0, 10, size):
            stream.append(windows(slice(start, start + size)))
    return path


def test_parts_are_the_file_that_would_be_written_at_once(tmp_path: Path) -> None:
    write_parquet(windows().to_pandas(), tmp_path / "once.parquet", {"source": "hub"})
    streamed(tmp_path / "parts.parquet", 3)
    assert read_metadata(tmp_path / "parts.parquet") == read_metadata(tmp_path / "once.parquet")
    pd.testing.assert_frame_equal(
        read_parquet(tmp_path / "parts.parquet"), read_parquet(tmp_path / "once.parquet")
    )
    assert pq.ParquetFile(tmp_path / "parts.parquet").num_row_groups == 4


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_batches_are_the_rows_in_their_order(tmp_path: Path, rows: int) -> None:
    batches = list(read_batches(streamed(tmp_path / "f.parquet", 3), ["tokens"], rows))
    assert max(map(len, batches)) <= rows
    np.testing.assert_array_equal(
        np.concatenate([stacked_tokens(batch) for batch in batches]), TOKENS
    )


def test_selected_rows_are_those_of_the_sequences(tmp_path: Path) -> None:
    found = read_selected(
        streamed(tmp_path / "f.parquet", 3), np.array([7, 2, 99, 2]), ["sequence_id", "text"]
    )
    assert found.to_dict("list") == {"sequence_id": [2, 7], "text": ["c", "h"]}


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="stop"),
        stream_parquet(tmp_path / "f.parquet", {}) as stream,
    ):
        stream.append(windows())
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(EngramError, match="gave no windows"),
        stream_parquet(tmp_path / "f.parquet", {}) as stream,
    ):
        stream.append(windows(slice(0, 0)))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngramError, match="column score is missing"):
        list(read_batches(streamed(tmp_path / "f.parquet", 3), ["score"]))


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(windows(), tmp_path / "f.parquet")
    with pytest.raises(EngramError, match="schema version unknown"):
        list(read_batches(tmp_path / "f.parquet"))


def test_nothing_is_selected_from_a_file_without_rows(tmp_path: Path) -> None:
    write_parquet(windows().to_pandas()[:0], tmp_path / "none.parquet")
    chosen = read_selected(tmp_path / "none.parquet", np.array([1]), ["sequence_id", "text"])
    assert chosen.empty and chosen.columns.tolist() == ["sequence_id", "text"]

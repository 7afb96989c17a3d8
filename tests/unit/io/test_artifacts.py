"""Artifacts: whole or not at all, and broken or foreign files are named."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engram.io import artifacts
from engram.io.artifacts import (
    read_metadata,
    read_parquet,
    whole,
    write_csv,
    write_json,
    write_parquet,
)
from engram.io.errors import EngramError
from engram.io.schema import SCHEMA_VERSION

FRAME = pd.DataFrame(
    {
        "sequence_id": np.array([3, 1, 2**40], dtype=np.int64),
        "tokens": list(np.arange(192, dtype=np.int32).reshape(3, 64)),
        "text": ["a\0b", "", "∆\n"],
        "is_code": [True, False, True],
        "rouge_l": [0.1 + 0.2, np.nan, 1.0],
    },
    index=[7, 8, 9],
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "table.parquet"
    write_parquet(FRAME, file, {"model": "tiny", "prefix": 32})
    return file


# --- whole
# --------------------------------------------------------------------------------------------------


def test_a_finished_file_is_alone(tmp_path: Path) -> None:
    with whole(tmp_path / "new" / "file") as temporary:
        temporary.write_text("done")
        assert not (tmp_path / "new" / "file").exists()
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["file"]
    assert (tmp_path / "new" / "file").read_text() == "done"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(error), whole(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise error
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_an_error_before_the_first_byte_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), whole(tmp_path / "file"):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_of_two_jobs_that_write_one_file_at_once_the_last_wins(tmp_path: Path) -> None:
    with whole(tmp_path / "file") as first:
        first.write_text("first")
        with whole(tmp_path / "file") as second:
            assert second != first
            second.write_text("second")
        assert (tmp_path / "file").read_text() == "second"
        assert first.read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "first"


def test_what_killed_jobs_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old, fresh = tmp_path / ".file.0123.partial", tmp_path / ".other.4567.partial"
    (tmp_path / ".folder.partial").mkdir()
    for left in (old, fresh):
        left.write_text("half")
    os.utime(old, (time.time() - 25 * 3600,) * 2)
    os.utime(tmp_path / ".folder.partial", (0, 0))
    with whole(tmp_path / "file") as temporary:
        temporary.write_text("new")
    left = {file.name for file in tmp_path.iterdir()}
    assert left == {"file", ".other.4567.partial", ".folder.partial"}
    assert (tmp_path / "file").read_text() == "new"


def test_jobs_that_write_one_file_at_once_both_succeed(tmp_path: Path) -> None:
    with whole(tmp_path / "file") as first, whole(tmp_path / "file") as second:
        first.write_text("first")
        second.write_text("second")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "first", "the last to finish wins"


def test_the_temporary_file_is_on_the_same_disk_and_hidden(tmp_path: Path) -> None:
    with whole(tmp_path / "file") as temporary:
        temporary.touch()
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")


def test_a_table_that_cannot_be_written_keeps_the_old_one(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(pa.ArrowException):
        write_parquet(pd.DataFrame({"mixed": [1, "a"]}), path)
    assert path.read_bytes() == before


# --- parquet
# --------------------------------------------------------------------------------------------------


def test_a_table_is_read_as_it_was_written(path: Path) -> None:
    read = read_parquet(path)
    pd.testing.assert_frame_equal(
        read.drop(columns="tokens"), FRAME.drop(columns="tokens").reset_index(drop=True)
    )
    assert {tokens.dtype for tokens in read["tokens"]} == {np.dtype(np.int32)}
    assert np.stack(read["tokens"].tolist()).tolist() == np.stack(FRAME["tokens"].tolist()).tolist()


def test_chosen_columns_are_read_alone_and_in_order(path: Path) -> None:
    assert read_parquet(path, ["is_code", "sequence_id"]).columns.tolist() == [
        "is_code",
        "sequence_id",
    ]


def test_equal_tables_have_equal_bytes(path: Path, tmp_path: Path) -> None:
    write_parquet(FRAME, tmp_path / "again" / path.name, {"model": "tiny", "prefix": 32})
    assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_metadata_are_read_back(path: Path) -> None:
    assert read_metadata(path) == {"schema_version": SCHEMA_VERSION, "model": "tiny", "prefix": 32}


def test_metadata_of_an_older_file_do_not_hide_the_version(tmp_path: Path) -> None:
    write_parquet(FRAME, tmp_path / "x.parquet", {"schema_version": 0})
    assert read_metadata(tmp_path / "x.parquet")["schema_version"] == SCHEMA_VERSION


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    write_parquet(FRAME.head(0), tmp_path / "x.parquet")
    assert read_parquet(tmp_path / "x.parquet").columns.tolist() == FRAME.columns.tolist()


def test_a_missing_column_is_named_with_those_there_are(path: Path) -> None:
    expected = (
        r"table.parquet: column rouge_3, x is missing; the file has sequence_id, tokens, text, "
        r"is_code, rouge_l"
    )
    with pytest.raises(EngramError, match=expected):
        read_parquet(path, ["sequence_id", "rouge_3", "x"])


def test_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngramError, match=r"none\.parquet: no such file"):
        read_parquet(tmp_path / "none.parquet")


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(EngramError, match="not a readable parquet file"):
        read_parquet(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"a,b\n1,2\n", bytes(1000)], ids=["empty", "magic", "csv", "zeros"]
)
def test_another_format_is_no_table(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(EngramError, match=r"x\.parquet: not a readable parquet file"):
        read_parquet(tmp_path / "x.parquet")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_table_is_an_error(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(EngramError, match=r"table\.parquet: not a readable parquet file"):
        read_parquet(path)


def test_a_table_whose_data_are_lost_is_an_error(path: Path) -> None:
    """The footer is whole, the pages are zeros: what a disk may hold after a power cut."""
    content = path.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little") + 8
    path.write_bytes(content[:4] + bytes(len(content) - footer - 4) + content[-footer:])
    with pytest.raises(
        EngramError, match=r"table\.parquet: its content does not match its checksum"
    ):
        read_parquet(path)


def test_a_foreign_table_is_told_by_its_version(tmp_path: Path) -> None:
    pq.write_table(pa.table({"sequence_id": [1]}), tmp_path / "x.parquet")
    with pytest.raises(
        EngramError,
        match=f"schema version unknown, this Engram reads {SCHEMA_VERSION}; delete the file",
    ):
        read_parquet(tmp_path / "x.parquet", ["tokens"])


@pytest.mark.parametrize("metadata", [b"{", b"[1]", b"null", b"\xff", b"1"])
def test_foreign_metadata_are_told_by_their_version(tmp_path: Path, metadata: bytes) -> None:
    pq.write_table(
        pa.table({"x": [1]}).replace_schema_metadata({b"engram": metadata}), tmp_path / "x.parquet"
    )
    with pytest.raises(EngramError, match="schema version unknown"):
        read_parquet(tmp_path / "x.parquet")


def test_another_schema_version_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    with pytest.raises(
        EngramError,
        match=f"schema version {SCHEMA_VERSION}, this Engram reads {SCHEMA_VERSION + 1}; delete "
        f"the file",
    ):
        read_parquet(path, ["a column of the next version"])


# --- CSV and JSON
# --------------------------------------------------------------------------------------------------


def test_csv_has_six_digits_and_whole_integers(tmp_path: Path) -> None:
    write_csv(
        pd.DataFrame(
            {"id": [2**40], "share": [2 / 3], "name": ["a,b"], "none": [np.nan]}, index=[5]
        ),
        tmp_path / "x.csv",
    )
    assert (
        tmp_path / "x.csv"
    ).read_bytes() == b'id,share,name,none\n1099511627776,0.666667,"a,b",\n'


def test_json_is_sorted_and_ends_with_a_line(tmp_path: Path) -> None:
    write_json({"b": [1, 2.5], "a": "∆"}, tmp_path / "x.json")
    text = (tmp_path / "x.json").read_text(encoding="ascii")
    assert text.index('"a"') < text.index('"b"') and text.endswith("}\n")
    assert json.loads(text) == {"a": "∆", "b": [1, 2.5]}

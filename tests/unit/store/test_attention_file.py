"""Attention files: what is written is read; what is damaged, cut off or foreign is refused."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from engram.io import hdf5
from engram.io.errors import EngramError
from engram.io.schema import SCHEMA_VERSION
from engram.store import attention_file
from engram.store.attention_file import AttentionFile, DamagedRows, Header, new_attention_file

ROWS, HEADER = (
    6,
    Header(
        "tiny@main", "f00d", "float16", prefix=3, suffix=2, layers=2, heads=4, mean_dtype="float32"
    ),
)


def content(rows: int = ROWS) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return random maps and columns."""
    random = np.random.default_rng(0)
    maps = {
        "max": random.random((rows, 2, 15)).astype(np.float16),
        "mean": random.random((rows, 2, 15)).astype(np.float32),
    }
    columns = {
        "key": random.integers(0, 256, (rows, 16), dtype=np.uint8),
        "sequence_id": np.arange(100, 100 + rows),
        "extracted": random.random(rows) < 0.5,
        "matched_fraction": random.random(rows).astype(np.float32),
        "suffix_log_prob": -random.random(rows).astype(np.float32),
    }
    return maps, columns


@pytest.fixture
def path(tmp_path: Path) -> Path:
    maps, columns = content()
    with new_attention_file(tmp_path / "rows.h5", ROWS, HEADER) as writer:
        for rows in ([0, 3, 4], [5, 1, 2]):
            writer.write(
                rows,
                {name: values[rows] for name, values in maps.items()},
                {name: values[rows] for name, values in columns.items()},
            )
    return tmp_path / "rows.h5"


def test_header_and_columns_are_read_back(path: Path) -> None:
    file, (_, columns) = AttentionFile(path), content()
    assert file.header == HEADER
    assert len(file) == ROWS
    for name, values in columns.items():
        np.testing.assert_array_equal(file.columns[name], values)


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_rows_are_read_back_bit_for_bit_in_any_order(path: Path, pooling: str) -> None:
    rows, (maps, _) = [4, 0, 4, 5, 1], content()
    values = AttentionFile(path).read(rows, pooling)
    assert values.dtype == maps[pooling].dtype
    np.testing.assert_array_equal(values, maps[pooling][rows])


def test_h5py_alone_can_read_the_file(path: Path) -> None:
    maps, columns = content()
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["mean"], maps["mean"])
        np.testing.assert_array_equal(file["max"][3], maps["max"][3])
        np.testing.assert_array_equal(file["extracted"], columns["extracted"])
        assert file.attrs["dtype"].decode() == "float16"
        assert file.attrs["prefix"] == 3
        assert file.attrs["schema_version"] == SCHEMA_VERSION


@pytest.mark.parametrize(("mean_dtype", "limit"), [("float32", 450_000), ("float16", 300_000)])
def test_row_of_the_paper_shape_fits_its_limit(tmp_path: Path, mean_dtype: str, limit: int) -> None:
    header = Header(
        "pythia-12b",
        "f00d",
        "float16",
        prefix=32,
        suffix=32,
        layers=36,
        heads=40,
        mean_dtype=mean_dtype,
    )
    sizes = []
    for rows in (1, 5):
        maps = {pooling: np.zeros((rows, 36, 2080), np.float16) for pooling in ("max", "mean")}
        with new_attention_file(tmp_path / "rows.h5", rows, header) as writer:
            writer.write(range(rows), maps, content(rows)[1])
        sizes.append((tmp_path / "rows.h5").stat().st_size)
    assert (sizes[1] - sizes[0]) / 4 < limit
    assert sizes[0] < limit + 16_000  # what a file takes in addition to its rows


def test_file_may_have_no_rows(tmp_path: Path) -> None:
    with new_attention_file(tmp_path / "rows.h5", 0, HEADER):
        pass
    assert len(AttentionFile(tmp_path / "rows.h5")) == 0


def test_broken_off_file_does_not_appear(tmp_path: Path) -> None:
    maps, columns = content()
    with (
        pytest.raises(KeyboardInterrupt),
        new_attention_file(tmp_path / "rows.h5", 2 * ROWS, HEADER) as writer,
    ):
        writer.write(range(ROWS), maps, columns)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_incomplete_file_does_not_appear(tmp_path: Path) -> None:
    maps, columns = content()
    with (
        pytest.raises(ValueError, match="6 of 7 rows"),
        new_attention_file(tmp_path / "rows.h5", 7, HEADER) as writer,
    ):
        writer.write(range(ROWS), maps, columns)
    assert list(tmp_path.iterdir()) == []


def test_too_little_space_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=50_000)
    monkeypatch.setattr(attention_file.shutil, "disk_usage", lambda folder: usage)
    refused = pytest.raises(
        EngramError, match=r"rows\.h5: cannot be written, it takes 0\.1 MB and 0\.1 MB are free"
    )
    with refused, new_attention_file(tmp_path / "rows.h5", ROWS, HEADER):
        pass
    assert list(tmp_path.iterdir()) == []


def test_every_flipped_byte_is_noticed_or_harmless(path: Path, tmp_path: Path) -> None:
    maps, columns = content()
    whole = path.read_bytes()
    damaged = tmp_path / "damaged.h5"
    noticed = 0
    for position in np.random.default_rng(0).integers(0, len(whole), 100):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << int(position) % 8
        damaged.write_bytes(flipped)
        try:
            file = AttentionFile(damaged)
            read = {pooling: file.read(range(ROWS), pooling) for pooling in maps}
        except EngramError as error:
            assert "damaged.h5" in str(error)
            noticed += 1
            continue
        assert file.header == HEADER
        for pooling, values in maps.items():
            np.testing.assert_array_equal(read[pooling], values)
        for name, values in columns.items():
            np.testing.assert_array_equal(file.columns[name], values)
    assert noticed > 20


def test_damaged_row_is_named_and_the_others_can_be_read(path: Path) -> None:
    maps, _ = content()
    whole = bytearray(path.read_bytes())
    place = whole.index(maps["max"][3].tobytes())
    whole[place] ^= 1
    path.write_bytes(whole)
    file = AttentionFile(path)
    with pytest.raises(
        DamagedRows, match=r"rows\.h5: max attention of 1 rows .* row 3 \(sequence_id 103\)"
    ) as caught:
        file.read(range(ROWS), "max")
    assert caught.value.rows == [3]
    np.testing.assert_array_equal(file.read([0, 1, 2, 4, 5], "max"), maps["max"][[0, 1, 2, 4, 5]])
    np.testing.assert_array_equal(file.read([3], "mean"), maps["mean"][[3]])


@pytest.mark.parametrize("kept", [0, 7, 100, 3000, -1])
def test_truncated_file_is_refused(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(EngramError, match=r"rows\.h5: cannot be read \(.*\); delete the file"):
        AttentionFile(path)


def test_another_kind_of_hdf5_file_is_refused(tmp_path: Path) -> None:
    with hdf5.new_hdf5(tmp_path / "rows.h5") as file:
        hdf5.write_group(file, {"key": np.zeros((3, 16), np.uint8)}, vars(HEADER))
    with pytest.raises(EngramError, match="does not have the arrays of an attention file"):
        AttentionFile(tmp_path / "rows.h5")


def test_file_cut_off_after_it_was_opened_is_noticed(path: Path) -> None:
    file = AttentionFile(path)
    path.write_bytes(b"")
    with pytest.raises(DamagedRows, match="cannot be read") as caught:
        file.read([0], "max")
    assert caught.value.rows is None


def test_file_that_vanished_is_noticed(path: Path) -> None:
    file = AttentionFile(path)
    path.unlink()
    with pytest.raises(DamagedRows, match="cannot be read"):
        file.read([0], "max")


def test_other_schema_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "SCHEMA_VERSION", 0)
    path = tmp_path / "rows.h5"
    with new_attention_file(path, 0, HEADER):
        pass
    monkeypatch.undo()
    with pytest.raises(EngramError, match=f"schema version 0, this Engram reads {SCHEMA_VERSION}"):
        AttentionFile(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngramError, match=r"nowhere\.h5: no such file"):
        AttentionFile(tmp_path / "nowhere.h5")

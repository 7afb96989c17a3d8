"""Only intact rows of the right model come out of the store."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_shards import SETTINGS, WINDOW, Counted, opened, sequences

from engram.io.errors import EngramError
from engram.store import shards
from engram.store.attention_file import DamagedRows
from engram.store.parts import RowPiece
from engram.store.shards import ShardReport, build_shard


def flip(path: Path, value: bytes) -> None:
    """Flips a bit of the first occurrence of `value` in a file."""
    content = bytearray(path.read_bytes())
    content[content.index(value)] ^= 1
    path.write_bytes(content)


def test_damaged_row_is_refused_by_name_and_alone_computed_again(
    build: Callable[..., ShardReport], tmp_path: Path
) -> None:
    build(range(6))
    reading = opened(tmp_path, "demo/shard-0.h5")
    good = reading.read(np.arange(6), "mean")
    flip(tmp_path / "demo/shard-0.h5", good[4].tobytes())
    with pytest.raises(EngramError, match=r"demo/shard-0\.h5: mean .* \(sequence_id 4\)"):
        reading.read(np.arange(6), "mean")
    np.testing.assert_array_equal(reading.read([0, 5], "mean"), good[[0, 5]])
    (tmp_path / "demo/shard-0.h5").unlink()
    assert build(range(6)).forwards == 1
    np.testing.assert_allclose(
        opened(tmp_path, "demo/shard-0.h5").read(np.arange(6), "mean"), good, atol=1e-6
    )


def test_rows_of_a_damaged_piece_are_computed_again(
    build: Callable[..., ShardReport],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(shards, "PART_ROWS", 4)

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shards, "_assemble", interrupted)
        build(range(8))
    first, _ = sorted((tmp_path / ".parts" / "f00d").iterdir())
    damaged = bytearray(first.read_bytes())
    damaged[-1] ^= 1
    first.write_bytes(damaged)
    assert build(range(8)) == ShardReport(rows=8, forwards=4)
    assert f"{first}: its content does not match its checksum" in caplog.text


def test_truncated_shard_is_passed_over_with_a_warning(
    build: Callable[..., ShardReport], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build(range(4))
    (kept,) = (tmp_path / ".parts" / "f00d").iterdir()
    kept.write_bytes(kept.read_bytes()[:-500])
    assert build(range(4), "other/shard-0.h5").forwards == 4
    assert f"{kept}: cannot be read" in caplog.text


def test_disk_that_damages_everything_is_an_error(
    build: Callable[..., ShardReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(piece, rows, pooling):
        raise DamagedRows(piece.path, None, "damaged")

    monkeypatch.setattr(RowPiece, "read", damaged)
    with pytest.raises(EngramError, match="check the disk"):
        build(range(2))


def test_truncated_shard_is_refused(build: Callable[..., ShardReport], tmp_path: Path) -> None:
    build(range(4))
    reading = opened(tmp_path, "demo/shard-0.h5")
    shard = tmp_path / "demo/shard-0.h5"
    shard.write_bytes(shard.read_bytes()[:-500])
    with pytest.raises(EngramError, match=r"demo/shard-0\.h5: cannot be read"):
        reading.read([0], "max")


def test_missing_sequence_is_refused(build: Callable[..., ShardReport], tmp_path: Path) -> None:
    build(range(4))
    with pytest.raises(
        EngramError,
        match=r"index\.parquet: 2 of 3 sequences are not in it, the first is sequence_id 77",
    ):
        opened(tmp_path, "demo/shard-0.h5").read([1, 77, 78], "max")


def test_unknown_pooling_is_refused(build: Callable[..., ShardReport], tmp_path: Path) -> None:
    build(range(2))
    with pytest.raises(EngramError, match="head pooling 'median': choose max or mean"):
        opened(tmp_path, "demo/shard-0.h5").read([1], "median")


def test_reading_no_sequences_gives_no_rows(
    build: Callable[..., ShardReport], tmp_path: Path
) -> None:
    build(range(2))
    assert opened(tmp_path, "demo/shard-0.h5").read([], "mean").shape == (
        0,
        3,
        WINDOW * (WINDOW + 1) // 2,
    )


def test_empty_store_says_so(build: Callable[..., ShardReport], tmp_path: Path) -> None:
    build([], "shard-0.h5")
    with pytest.raises(EngramError, match="no sequence was extracted"):
        _ = opened(tmp_path, "shard-0.h5").header


def test_outdated_index_is_noticed(build: Callable[..., ShardReport], tmp_path: Path) -> None:
    build(range(4))
    reading = opened(tmp_path, "demo/shard-0.h5")
    build(range(2, 6))
    with pytest.raises(EngramError, match="row 3 is not sequence_id 3"):
        reading.read([3], "max")


def test_shard_of_another_model_is_noticed_by_reader_and_index(
    build: Callable[..., ShardReport], tmp_path: Path
) -> None:
    build(range(4), "shard-0.h5")
    build(range(4, 6), "shard-1.h5")
    reading = opened(tmp_path, "shard-0.h5", "shard-1.h5")
    build_shard(
        Counted("beef").source,
        sequences(range(4, 6)),
        tmp_path / ".parts",
        tmp_path / "shard-1.h5",
        SETTINGS,
    )
    with pytest.raises(
        EngramError, match=r"shard-1\.h5: it is of model tiny@main \(beef\), .* of f00d"
    ):
        reading.read([4], "max")
    with pytest.raises(
        EngramError, match=r"shard-1\.h5: fingerprint is beef, in .*shard-0\.h5 it is f00d"
    ):
        opened(tmp_path, "shard-0.h5", "shard-1.h5")


def test_sequence_in_two_shards_is_refused(
    build: Callable[..., ShardReport], tmp_path: Path
) -> None:
    build(range(4), "shard-0.h5")
    shutil.copyfile(tmp_path / "shard-0.h5", tmp_path / "shard-1.h5")
    with pytest.raises(EngramError, match="sequence_id 0 is in two shards"):
        opened(tmp_path, "shard-0.h5", "shard-1.h5")

"""Finished rows: found by what they were computed from, in pieces and in shards, and never when
they are damaged."""

from pathlib import Path

import numpy as np
import pytest
from tiny_models import random_tokens

from engram.store.attention_file import COLUMNS, DamagedRows, Header, new_attention_file
from engram.store.parts import FinishedRows, key_matrix, read_places, row_keys

HEADER = Header(
    "tiny@main", "f00d", "float32", prefix=2, suffix=1, layers=1, heads=1, mean_dtype="float32"
)
KEYS = row_keys(random_tokens(6, 3), 2, "float32")


def content(rows: list[int]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return maps and columns of some of `KEYS`; every value of row i's maps is i."""
    maps = np.broadcast_to(np.array(rows)[:, None, None], (len(rows), 1, 6))
    columns = {column: np.zeros(len(rows), dtype) for column, dtype in COLUMNS.items()}
    return {"max": maps, "mean": maps}, columns


def write_shard(folder: Path, name: str, rows: list[int]) -> Path:
    maps, columns = content(rows)
    columns["key"] = key_matrix([KEYS[row] for row in rows])
    with new_attention_file(folder / name, len(rows), HEADER) as writer:
        writer.write(range(len(rows)), maps, columns)
    return folder / name


def write_piece(folder: Path, rows: list[int]) -> Path:
    before = set(folder.glob("*"))
    maps, columns = content(rows)
    FinishedRows(folder, "f00d").write(HEADER, [KEYS[row] for row in rows], maps | columns)
    (path,) = set(folder.glob("*")) - before
    return path


def test_key_follows_tokens_and_settings_and_nothing_else() -> None:
    tokens = random_tokens(4, 8)
    (first, *others) = row_keys(tokens, 4, "float32")
    changed = tokens[:1].copy()
    changed[0, -1] += 1
    assert row_keys(tokens[:1].astype(np.int16), 4, "float32") == [first]
    assert (
        len(
            {
                first,
                *others,
                *row_keys(changed, 4, "float32"),
                *row_keys(tokens[:1], 5, "float32"),
                *row_keys(tokens[:1], 4, "float16"),
            }
        )
        == 7
    )


def test_rows_are_found_in_any_file_and_read_in_the_order_asked_for(tmp_path: Path) -> None:
    write_piece(tmp_path, [3, 0])
    write_shard(tmp_path, "shard-b.h5", [2, 5, 4])
    places = FinishedRows(tmp_path, "f00d").locate(KEYS)
    assert set(places) == {KEYS[row] for row in (0, 2, 3, 4, 5)}
    wanted = [5, 0, 2, 3, 0]
    np.testing.assert_array_equal(
        read_places([places[KEYS[row]] for row in wanted], "mean")[:, 0, 0], wanted
    )


def test_file_that_appears_later_is_found(tmp_path: Path) -> None:
    finished = FinishedRows(tmp_path, "f00d")
    assert finished.locate(KEYS) == {}
    write_piece(tmp_path, [1])
    assert list(finished.locate(KEYS)) == [KEYS[1]]


def test_damaged_row_is_found_elsewhere_or_not_at_all(tmp_path: Path) -> None:
    first, second = write_piece(tmp_path, [0, 1]), write_shard(tmp_path, "shard.h5", [1, 2])
    finished = FinishedRows(tmp_path, "f00d")
    finished.forget(DamagedRows(second, [0, 1], "damaged"))
    places = finished.locate(KEYS)
    assert {key: place.file.path for key, place in places.items()} == {
        KEYS[0]: first,
        KEYS[1]: first,
    }


def test_unreadable_file_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_piece(tmp_path, [0])
    (tmp_path / "shard-b.h5").write_bytes(b"no HDF5")
    (tmp_path / "0123.safetensors").write_bytes(b"not a piece")
    finished = FinishedRows(tmp_path, "f00d")
    assert set(finished.locate(KEYS)) == {KEYS[0]}
    finished.locate(KEYS)
    assert caplog.text.count("shard-b.h5") == caplog.text.count("0123.safetensors") == 1


def test_rows_of_another_model_are_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [write_piece(tmp_path, [0, 1]), write_shard(tmp_path, "shard.h5", [2])]
    assert FinishedRows(tmp_path, "beef").locate(KEYS) == {}
    for path in paths:
        assert f"{path}: it is of model tiny@main (f00d), not beef" in caplog.text


def test_only_covered_files_are_removed(tmp_path: Path) -> None:
    write_piece(tmp_path, [0, 1])
    write_shard(tmp_path, "shard-a.h5", [3, 0])
    kept = [write_piece(tmp_path, [1, 2]), write_shard(tmp_path, "shard-b.h5", [3, 4])]
    shard = write_shard(tmp_path, "shard.h5", [0, 1, 3])
    FinishedRows(tmp_path, "f00d").remove_covered(shard, [KEYS[row] for row in (0, 1, 3)])
    assert set(tmp_path.iterdir()) == {*kept, shard}


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_maps_of_a_damaged_piece_are_named(tmp_path: Path, pooling: str) -> None:
    path = write_piece(tmp_path, [3, 5])
    file = bytearray(path.read_bytes())
    value = np.full(6, 5, np.float16 if pooling == "max" else np.float32)
    file[file.index(value.tobytes())] ^= 1
    path.write_bytes(file)
    places = FinishedRows(tmp_path, "f00d").locate(KEYS)
    other = "mean" if pooling == "max" else "max"
    np.testing.assert_array_equal(read_places([places[KEYS[5]]], other), np.full((1, 1, 6), 5))
    with pytest.raises(DamagedRows, match="does not match its checksum") as caught:
        read_places([places[KEYS[5]]], pooling)
    assert (caught.value.path, caught.value.rows) == (path, None)

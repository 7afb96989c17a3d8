"""Parts: rows are found by what they were computed from, wherever they lie, and never when they are
damaged.
"""

from pathlib import Path

import numpy as np
import pytest
from tiny_models import random_tokens

from engram.store.attention_file import COLUMNS, DamagedRows, Header, new_attention_file
from engram.store.parts import Parts, read_places, row_keys

HEADER = Header(
    "tiny@main", "f00d", "float32", prefix=2, suffix=1, layers=1, heads=1, mean_dtype="float32"
)
KEYS = row_keys(random_tokens(6, 3), 2, "float32")


def write(folder: Path, name: str, rows: list[int]) -> Path:
    """A part that holds some of `KEYS`; every value of row i's maps is i."""
    maps = np.broadcast_to(np.array(rows)[:, None, None], (len(rows), 1, 6))
    columns = {column: np.zeros(len(rows), dtype) for column, dtype in COLUMNS.items()}
    columns["key"] = np.frombuffer(b"".join(KEYS[row] for row in rows), np.uint8).reshape(
        len(rows), 16
    )
    with new_attention_file(folder / name, len(rows), HEADER) as writer:
        writer.append({"max": maps, "mean": maps}, columns)
    return folder / name


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
    write(tmp_path, "part-a.h5", [3, 0])
    write(tmp_path, "part-b.h5", [2, 5, 4])
    places = Parts(tmp_path, "f00d").locate(KEYS)
    assert set(places) == {KEYS[row] for row in (0, 2, 3, 4, 5)}
    wanted = [5, 0, 2, 3, 0]
    np.testing.assert_array_equal(
        read_places([places[KEYS[row]] for row in wanted], "mean")[:, 0, 0], wanted
    )


def test_file_that_appears_later_is_found(tmp_path: Path) -> None:
    parts = Parts(tmp_path, "f00d")
    assert parts.locate(KEYS) == {}
    write(tmp_path, "part-a.h5", [1])
    assert list(parts.locate(KEYS)) == [KEYS[1]]


def test_damaged_row_is_found_elsewhere_or_not_at_all(tmp_path: Path) -> None:
    first, second = write(tmp_path, "part-a.h5", [0, 1]), write(tmp_path, "part-b.h5", [1, 2])
    parts = Parts(tmp_path, "f00d")
    parts.forget(DamagedRows(second, [0, 1], "damaged"))
    places = parts.locate(KEYS)
    assert {key: place.file.path for key, place in places.items()} == {
        KEYS[0]: first,
        KEYS[1]: first,
    }


def test_unreadable_file_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "part-a.h5", [0])
    (tmp_path / "part-b.h5").write_bytes(b"no HDF5")
    parts = Parts(tmp_path, "f00d")
    assert set(parts.locate(KEYS)) == {KEYS[0]}
    parts.locate(KEYS)
    assert caplog.text.count("part-b.h5") == 1


def test_rows_of_another_model_are_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, "part-a.h5", [0, 1])
    assert Parts(tmp_path, "beef").locate(KEYS) == {}
    assert f"{path}: it is of model tiny@main (f00d), not beef" in caplog.text


def test_only_covered_files_are_removed(tmp_path: Path) -> None:
    write(tmp_path, "part-a.h5", [0, 1])
    kept = write(tmp_path, "part-b.h5", [1, 2])
    shard = write(tmp_path, "shard.h5", [0, 1, 3])
    Parts(tmp_path, "f00d").remove_covered(shard, [KEYS[row] for row in (0, 1, 3)])
    assert sorted(tmp_path.iterdir()) == [kept, shard]

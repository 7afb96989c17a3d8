"""HDF5 files: whole or absent, plain for other programs, and damage is an error."""

import errno
import io
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from engram.io import hdf5
from engram.io.errors import EngramError
from engram.io.hdf5 import new_hdf5, open_hdf5, read_group, write_group
from engram.io.schema import SCHEMA_VERSION

ARRAYS = {
    "values": np.random.default_rng(0).random((5, 3)).astype(np.float32),
    "flags": np.array([True, False]),
    "none": np.empty((0, 2), np.int64),
    "text": ["naïve", "", "plain"],
}
ATTRIBUTES = {"model": "tïny", "n": [4, 5], "prefix": 6, "share": 0.1, "classes": ["Guess", "Code"]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with new_hdf5(tmp_path / "file.h5") as file:
        write_group(file.create_group("group"), ARRAYS, ATTRIBUTES, chunks=None)
        write_group(file, {"ids": np.arange(4)}, {})
    return tmp_path / "file.h5"


def test_arrays_and_attributes_are_read_back(path: Path) -> None:
    with open_hdf5(path) as file:
        arrays, attributes = read_group(file["group"])
    assert attributes == ATTRIBUTES
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array, strict=name != "text")


def test_h5py_alone_reads_the_file(path: Path) -> None:
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["group/values"][2], ARRAYS["values"][2])
        assert file["group/text"].asstr()[:].tolist() == ARRAYS["text"]
        assert file["group"].attrs["n"].tolist() == [4, 5]
        assert file["group"].attrs["model"].decode() == "tïny"
        assert file.attrs["schema_version"] == SCHEMA_VERSION


def test_arrays_that_are_read_apart_are_not_checked_with_the_others(tmp_path: Path) -> None:
    with new_hdf5(tmp_path / "file.h5") as file:
        file["large"] = np.zeros(9)
        write_group(file, {"ids": np.arange(4)}, {})
    with open_hdf5(tmp_path / "file.h5") as file:
        assert read_group(file, apart=("large",))[0].keys() == {"ids"}
        with pytest.raises(EngramError, match=r"file\.h5: its content does not match its checksum"):
            read_group(file)


def read(path: Path) -> Any:
    with open_hdf5(path) as file:
        arrays, attributes = read_group(file["group"])
    return attributes, {name: (array.shape, array.tolist()) for name, array in arrays.items()}


def test_every_flipped_bit_is_an_error_or_harmless(path: Path, tmp_path: Path) -> None:
    content, whole, damaged = path.read_bytes(), read(path), tmp_path / "damaged.h5"
    noticed = 0
    for place in np.random.default_rng(0).integers(0, 8 * len(content), 600):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        damaged.write_bytes(flipped)
        try:
            assert read(damaged) == whole
        except EngramError as error:
            assert str(error).startswith(f"{damaged}: ") and "\n" not in str(error)
            noticed += 1
    assert noticed > 100


@pytest.mark.parametrize("length", [16, 64, 512])
def test_every_block_of_zeros_is_an_error_or_harmless(
    path: Path, tmp_path: Path, length: int
) -> None:
    content, whole, damaged = path.read_bytes(), read(path), tmp_path / "damaged.h5"
    for start in range(0, len(content), length):
        damaged.write_bytes(content[:start] + bytes(length) + content[start + length :])
        try:
            assert read(damaged) == whole
        except EngramError:
            continue


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_file_that_is_broken_off_does_not_appear(
    tmp_path: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error), new_hdf5(tmp_path / "file.h5") as file:
        file["ids"] = np.arange(4)
        raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("chunks", [None, (1, 1000)], ids=["contiguous", "chunks"])
def test_a_disk_that_fills_up_is_one_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunks: tuple[int, int] | None
) -> None:
    """HDF5 must not notice: it cannot close a file once a write has failed."""
    room = [20_000]

    class SmallDisk(io.FileIO):
        def write(self, data: Any) -> int:
            if room[0] <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            room[0] -= len(data)
            return super().write(data)

    monkeypatch.setattr(hdf5, "_Disk", type("Disk", (hdf5._Disk, SmallDisk), {}))
    expected = (
        r"file\.h5: cannot be written \(No space left on device\); resolve that and run again"
    )
    with pytest.raises(EngramError, match=expected), new_hdf5(tmp_path / "file.h5") as file:
        values = file.create_dataset("values", (50, 1000), np.float32, chunks=chunks)
        for row in range(50):
            values[row] = row
    assert list(tmp_path.iterdir()) == []
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE) == 0


def test_another_schema_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "SCHEMA_VERSION", 99)
    with new_hdf5(tmp_path / "file.h5") as file:
        write_group(file, {}, {})
    monkeypatch.undo()
    refused = pytest.raises(EngramError, match=f"schema version 99, this .* {SCHEMA_VERSION}; del")
    with refused, open_hdf5(tmp_path / "file.h5"):
        pass


@pytest.mark.parametrize("content", [b"", b"no HDF5", bytes(5000)])
def test_another_kind_of_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.h5").write_bytes(content)
    with (
        pytest.raises(EngramError, match=r"file\.h5: cannot be read \("),
        open_hdf5(tmp_path / "file.h5"),
    ):
        pass


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(EngramError, match=r"none\.h5: no such file"),
        open_hdf5(tmp_path / "none.h5"),
    ):
        pass

"""Finished work: found by what decides it, whole or absent, and never when it is damaged."""

import json
import logging
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engram.io import tensors
from engram.io.errors import EngramError
from engram.io.hashing import content_digest
from engram.io.parts import OpenPiece, Parts, Piece
from engram.io.tensors import TensorFile, read_tensors, write_tensors

ARRAYS = {
    "logits": np.random.default_rng(0).random((4, 3)).astype(np.float32),
    "half": np.arange(6, dtype=np.float16).reshape(2, 3),
    "flags": np.array([True, False]),
    "none": np.empty((0, 2), np.int64),
    "number": np.array(7),
    "transposed": np.arange(6.0).reshape(2, 3).T,
}
PIECE = Piece(ARRAYS, {"history": [{"epoch": 1, "loss": 0.1 + 0.2}], "name": "naïve"})
KEY = content_digest("a piece")


def same(piece: Piece | None, other: Piece = PIECE) -> bool:
    return (
        piece is not None
        and piece.metadata == other.metadata
        and piece.arrays.keys() == other.arrays.keys()
        and all(
            array.dtype == other.arrays[name].dtype
            and array.shape == other.arrays[name].shape
            and array.tobytes() == other.arrays[name].tobytes()
            for name, array in piece.arrays.items()
        )
    )


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    parts = Parts(tmp_path / "parts")
    parts.write(KEY, PIECE)
    return parts


# --- digests


def test_a_digest_follows_types_shapes_order_and_limits() -> None:
    zeros = np.zeros((2, 3), np.float32)
    values = [
        (),
        ("ab",),
        ("a", "b"),
        ("b", "a"),
        (b"ab",),
        (zeros,),
        (zeros.T,),
        (zeros.astype(np.int32),),
        (zeros, zeros),
        (zeros.tobytes(),),
    ]
    assert len({content_digest(*value) for value in values}) == len(values)
    assert content_digest(zeros, "a") == content_digest(zeros.copy(), "a")


# --- one piece


def test_a_piece_is_read_as_it_was_written(parts: Parts) -> None:
    assert same(parts.read(KEY))
    assert all(array.flags.writeable for array in parts.read(KEY).arrays.values())


def test_there_is_nothing_under_another_key(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    assert parts.read(content_digest("another")) is None
    assert not caplog.text


def test_a_folder_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "none")
    assert parts.present() == [] and parts.read(KEY) is None
    assert not parts.folder.exists()


def test_a_piece_takes_the_place_of_an_earlier_one(parts: Parts) -> None:
    later = Piece({"logits": np.ones(3)}, {"step": 2})
    parts.write(KEY, later)
    assert parts.present() == [KEY]
    assert same(parts.read(KEY), later)


def test_arrays_are_read_one_by_one(parts: Parts) -> None:
    piece = OpenPiece(parts.path(KEY))
    assert piece.metadata == PIECE.metadata
    np.testing.assert_array_equal(piece.read("logits")["logits"], ARRAYS["logits"])


def test_a_damaged_array_spoils_no_other(parts: Parts) -> None:
    content = bytearray(parts.path(KEY).read_bytes())
    content[content.index(ARRAYS["half"].tobytes())] ^= 1
    parts.path(KEY).write_bytes(content)
    piece = OpenPiece(parts.path(KEY))
    np.testing.assert_array_equal(piece.read("logits")["logits"], ARRAYS["logits"])
    with pytest.raises(EngramError, match="does not match its checksum"):
        piece.read("half")


def test_pieces_are_readable_by_others_as_the_user_has_it(parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    assert parts.path(KEY).stat().st_mode == (tmp_path / "plain").stat().st_mode


# --- damage

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut off": lambda content: content[:-5],
    "foreign": lambda content: b"not a piece",
    "array": lambda content: content[:-3] + bytes([content[-3] ^ 1]) + content[-2:],
    "metadata": lambda content: content.replace(b"history", b"hystory"),
    "type of an array": lambda content: content.replace(b"F32", b"I32"),
    "name of an array": lambda content: content.replace(b'"logits":{', b'"digits":{'),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_piece_is_passed_over_with_a_warning(
    parts: Parts, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    content = parts.path(KEY).read_bytes()
    damaged = DAMAGE[damage](content)
    assert damaged != content
    parts.path(KEY).write_bytes(damaged)
    with caplog.at_level(logging.WARNING):
        assert parts.read(KEY) is None
    assert str(parts.path(KEY)) in caplog.text and "passed over, computed again" in caplog.text


def test_the_piece_of_another_key_is_passed_over(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    other = content_digest("another")
    parts.path(KEY).rename(parts.path(other))
    assert parts.read(other) is None
    assert f"it holds a file that was written as {KEY}.safetensors" in caplog.text


def test_every_flipped_bit_is_noticed_or_harmless(tmp_path: Path) -> None:
    small = Piece({"a": np.arange(3.0), "b": np.array([1, 2], np.int32)}, {"step": 1})
    parts = Parts(tmp_path)
    parts.write(KEY, small)
    content = parts.path(KEY).read_bytes()
    passed_over = 0
    for place in range(0, 8 * len(content), 3):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        parts.path(KEY).write_bytes(flipped)
        piece = parts.read(KEY)
        assert piece is None or same(piece, small)
        passed_over += piece is None
    assert passed_over > len(content) * 8 / 3 * 0.9


# --- jobs


def _write_often(folder: Path, started: object, times: int) -> None:
    started.wait()  # type: ignore[attr-defined]
    for _ in range(times):
        Parts(folder).write(KEY, PIECE)


def test_two_processes_write_one_piece_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    started = context.Barrier(3)
    jobs = [context.Process(target=_write_often, args=(tmp_path, started, 100)) for _ in range(2)]
    for job in jobs:
        job.start()
    started.wait()
    while any(job.is_alive() for job in jobs):  # and a third one reads it meanwhile
        assert not (tmp_path / f"{KEY}.safetensors").exists() or same(Parts(tmp_path).read(KEY))
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == [f"{KEY}.safetensors"]


def test_a_full_disk_is_one_error_and_keeps_the_earlier_piece(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        EngramError, match=f"{KEY}.safetensors: cannot be written \\(No space left on device\\)"
    ):
        parts.write(KEY, Piece({}, {}))
    assert [path.name for path in parts.folder.iterdir()] == [f"{KEY}.safetensors"]
    assert same(parts.read(KEY))


# --- files of tensors


def test_tensors_and_metadata_are_read_back(tmp_path: Path) -> None:
    write_tensors(ARRAYS, tmp_path / "file.safetensors", {"b": "2", "a": "1"})
    arrays, metadata = read_tensors(tmp_path / "file.safetensors")
    assert same(Piece(arrays, metadata), Piece(ARRAYS, {"a": "1", "b": "2"}))
    assert TensorFile(tmp_path / "file.safetensors").names == sorted(ARRAYS)


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file.safetensors").write_bytes(tensors.save(ARRAYS, {"a": json.dumps(1)}))
    with pytest.raises(EngramError, match="does not match its checksum"):
        read_tensors(tmp_path / "file.safetensors")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngramError, match=r"none\.safetensors: no such file"):
        read_tensors(tmp_path / "none.safetensors")

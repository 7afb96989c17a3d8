"""Shards: which sequences belong to one, what it holds, and what is refused beforehand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from tiny_models import gpt_neox, random_tokens
from tiny_shards import PREFIX, SETTINGS, WINDOW, Counted, opened, sequences

from engram.io.errors import EngramError
from engram.io.schema import SCHEMA_VERSION
from engram.lm import oracle
from engram.lm.attention import extract, pooled_attention
from engram.lm.inputs import begin_with
from engram.store import shards
from engram.store.index import read_verification
from engram.store.shards import ModelSource, ShardReport, build_shard, shard_of


def test_shard_of_is_splitmix64() -> None:
    # First outputs of the published generator for seeds 0 and 1234567.
    np.testing.assert_array_equal(
        shard_of(np.array([0, 1234567]), 2**62),
        np.array([0xE220A8397B1DCDAF, 6457827717110365317], np.uint64) % 2**62,
    )


def test_shards_are_equally_full_and_stable() -> None:
    ids = np.arange(-5000, 15_000)
    found = shard_of(ids, 8)
    assert np.bincount(found, minlength=8).min() > 0.9 * len(ids) / 8
    np.testing.assert_array_equal(shard_of(ids[::-1], 8), found[::-1])


@pytest.mark.parametrize("mean_dtype", ["float32", "float16"])
def test_store_returns_the_model_attention(
    build: Callable[..., ShardReport], tmp_path: Path, mean_dtype: str
) -> None:
    settings = SETTINGS.replace(mean_dtype=mean_dtype)
    build(range(0, 10, 2), "shard-0.h5", settings)
    build(range(1, 10, 2), "shard-1.h5", settings)
    wanted = [7, 0, 3, 3, 8]
    reading = opened(tmp_path, "shard-0.h5", "shard-1.h5")
    mean, highest = pooled_attention(gpt_neox(), np.stack(sequences(wanted)["tokens"]))
    np.testing.assert_allclose(reading.read(wanted, "max"), highest.half(), atol=1e-3)
    np.testing.assert_allclose(
        reading.read(wanted, "mean"), mean, atol=1e-6 if mean_dtype == "float32" else 1e-3
    )
    assert reading.read(wanted, "mean").dtype == mean_dtype


def test_rows_are_what_extraction_yielded(
    build: Callable[..., ShardReport], tmp_path: Path
) -> None:
    build(range(4))
    batch = next(extract(gpt_neox(), np.stack(sequences(range(4))["tokens"]), PREFIX))
    reading, verification = (
        opened(tmp_path, "demo/shard-0.h5"),
        read_verification([tmp_path / "demo/shard-0.h5"]),
    )
    np.testing.assert_array_equal(reading.read(np.arange(4), "max"), batch.max)
    np.testing.assert_array_equal(reading.read(np.arange(4), "mean"), batch.mean)
    np.testing.assert_array_equal(verification["sequence_id"], np.arange(4))
    for column in ("extracted", "matched_fraction", "suffix_log_prob"):
        np.testing.assert_array_equal(verification[column], getattr(batch, column))


def test_the_kernel_of_the_settings_is_used(
    build: Callable[..., ShardReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(EngramError, match="kernel: triton needs a GPU"):
        build(range(2), settings=SETTINGS.replace(kernel="triton"))


def test_header_names_model_window_and_precision(
    build: Callable[..., ShardReport], tmp_path: Path
) -> None:
    build(range(3))
    with h5py.File(tmp_path / "demo/shard-0.h5") as file:
        expected = {
            "schema_version": SCHEMA_VERSION,
            "model": b"tiny@main",
            "fingerprint": b"f00d",
            "dtype": b"float32",
            "prefix": 6,
            "suffix": 6,
            "layers": 3,
            "heads": 4,
        }
        assert {name: file.attrs[name] for name in expected} == expected


def test_equal_tokens_are_computed_once_and_stored_for_each_id(
    build: Callable[..., ShardReport], tmp_path: Path, counted: Counted
) -> None:
    frame = sequences([1, 1])
    frame["sequence_id"] = [5, 9]
    report = build_shard(
        counted.source, frame, tmp_path / ".parts", tmp_path / "shard-0.h5", SETTINGS
    )
    assert (report.rows, report.forwards) == (2, 1)
    assert len(np.unique(opened(tmp_path, "shard-0.h5").read([5, 9], "max"), axis=0)) == 1


def test_shard_without_sequences_needs_no_model(
    build: Callable[..., ShardReport], tmp_path: Path, counted: Counted
) -> None:
    assert build([], "shard-0.h5") == ShardReport(rows=0, forwards=0)
    assert counted.loads == 0
    build(range(3), "shard-1.h5")
    assert opened(tmp_path, "shard-0.h5", "shard-1.h5").read([2], "max").shape == (
        1,
        3,
        WINDOW * (WINDOW + 1) // 2,
    )


def test_what_the_model_reads_first_is_in_the_header_and_in_the_maps(tmp_path: Path) -> None:
    def load() -> torch.nn.Module:
        model = gpt_neox()
        begin_with(model, (5,))
        return model

    frame, path = sequences(range(5)), tmp_path / "shard-0.h5"
    source = ModelSource("tiny", "beef", load)
    build_shard(source, frame, tmp_path / ".parts", path, SETTINGS)
    store = opened(tmp_path, "shard-0.h5")
    assert (store.header.opening, store.header.prefix) == ((5,), PREFIX)
    tokens = np.stack(frame["tokens"])
    np.testing.assert_array_equal(
        store.header.read_tokens(tokens), [[5, *row] for row in tokens.tolist()]
    )
    mean, _ = pooled_attention(gpt_neox(), store.header.read_tokens(tokens))
    np.testing.assert_allclose(store.read(np.arange(5), "mean"), mean, atol=1e-6)
    path.unlink()  # and once more, from what is finished
    build_shard(source, frame, tmp_path / ".parts", path, SETTINGS)
    assert opened(tmp_path, "shard-0.h5").header.opening == (5,)


def test_a_header_without_such_tokens_says_nothing_of_them(
    build: Callable[..., ShardReport], tmp_path: Path
) -> None:
    build(range(3))
    store = opened(tmp_path / "demo", "shard-0.h5")
    assert store.header.opening == ()
    tokens = random_tokens(2, WINDOW)
    assert store.header.read_tokens(tokens) is tokens
    with h5py.File(tmp_path / "demo/shard-0.h5") as file:
        assert "opening" not in file.attrs


def test_sequences_must_be_of_one_length(tmp_path: Path, counted: Counted) -> None:
    frame = sequences(range(3))
    frame["tokens"] = [tokens[: 12 - (row == 2)] for row, tokens in enumerate(frame["tokens"])]
    with pytest.raises(EngramError, match="sequence_id 2 has 11 tokens, the others 12"):
        build_shard(counted.source, frame, tmp_path / ".parts", tmp_path / "shard.h5", SETTINGS)


def test_sequences_must_be_distinct(tmp_path: Path, counted: Counted) -> None:
    with pytest.raises(EngramError, match="sequence_id 1 occurs twice"):
        build_shard(
            counted.source,
            sequences([1, 2, 1]),
            tmp_path / ".parts",
            tmp_path / "shard.h5",
            SETTINGS,
        )


def test_prefix_must_leave_a_suffix(build: Callable[..., ShardReport]) -> None:
    with pytest.raises(EngramError, match="prefix of 12 tokens leaves no suffix in windows of 12"):
        build(range(2), settings=SETTINGS.replace(prefix=WINDOW))


def test_foreign_tokens_are_refused(tmp_path: Path, counted: Counted) -> None:
    frame = sequences(range(2))
    frame["tokens"] = [tokens + 90 for tokens in frame["tokens"]]
    with pytest.raises(EngramError, match="outside the vocabulary"):
        build_shard(counted.source, frame, tmp_path / ".parts", tmp_path / "shard.h5", SETTINGS)


def test_the_check_and_many_batches_in_workers_do_not_meet(tmp_path: Path) -> None:
    """With several workers a batch is in flight whenever the main thread has one in its hands."""
    source, ids = Counted().source, range(400)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        report = build_shard(
            source, sequences(ids), tmp_path / ".parts", tmp_path / "shard.h5", SETTINGS
        )
    finally:
        torch.set_num_threads(before)
    assert report.rows == len(ids)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rows_that_differ_from_transformers_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    """The rows that are compared are those that would be written."""
    source = ModelSource("tiny@main", "f00d", lambda: gpt_neox().to(dtype))
    place = (tmp_path / ".parts", tmp_path / "shard.h5", SETTINGS)
    monkeypatch.setattr(shards, "PART_ROWS", 1)
    monkeypatch.setattr(oracle, "SECONDS", 600.0)  # all three, on a busy machine too

    def wrong(model, tokens, prefix, batch_tokens, block, **options):
        # As on a GPU whose memory is half of what was thought.
        for batch in extract(model, tokens, prefix, batch_tokens // 2, block, **options):
            first = {name: getattr(batch, name)[[0, 0]] for name in ("mean", "max")}
            yield replace(batch, **first) if batch.rows.start == 2 else batch

    with monkeypatch.context() as patch:
        patch.setattr(shards, "extract", wrong)
        with pytest.raises(EngramError, match=r"attention of layer \d differs .* was written"):
            build_shard(source, sequences(range(12)), *place)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert build_shard(source, sequences(range(12)), *place).forwards == 12

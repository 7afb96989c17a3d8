"""Each sequence goes through the model once, whatever is killed, removed or asked for again."""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from tiny_shards import PREFIX, SETTINGS, Counted, opened, sequences

from engram.io.artifacts import read_metadata
from engram.io.errors import EngramError
from engram.lm.attention import extract
from engram.store import shards
from engram.store.attention_file import AttentionFile
from engram.store.settings import ExtractionSettings
from engram.store.shards import ShardReport, build_shard


def test_grown_pool_sends_only_new_sequences_through_the_model(
    build: Callable[..., ShardReport], tmp_path: Path, counted: Counted
) -> None:
    assert build(range(6)).forwards == counted.sequences == 6
    before = opened(tmp_path, "demo/shard-0.h5").read(np.arange(6), "mean")
    (tmp_path / "demo/shard-0.h5").unlink()  # as Snakemake does before it runs the job again
    assert build(range(9)).forwards == 3
    assert counted.sequences == 9
    np.testing.assert_array_equal(
        opened(tmp_path, "demo/shard-0.h5").read(np.arange(6), "mean"), before
    )


def test_second_study_with_other_shards_needs_no_model(
    build: Callable[..., ShardReport], counted: Counted
) -> None:
    build(range(8), "demo/shard-0.h5")
    assert counted.loads == 1
    assert (
        build(range(0, 8, 2), "paper/shard-0.h5").forwards
        == build(range(1, 8, 2), "paper/shard-1.h5").forwards
        == 0
    )
    assert (counted.loads, counted.sequences) == (1, 8)


def test_blockwise_store_has_the_pooled_maps_of_a_store_of_tokens(
    build: Callable[..., ShardReport], tmp_path: Path
) -> None:
    build(range(4))
    assert build(range(4), "blocks/shard-0.h5", SETTINGS.replace(block=4)).forwards == 4
    assert build(range(4), "again/shard-0.h5", SETTINGS.replace(block=4)).forwards == 0
    ids, tokenwise = np.array([3, 1]), opened(tmp_path, "demo/shard-0.h5")
    store = opened(tmp_path, "again/shard-0.h5")
    assert (store.header.block, tokenwise.header.block) == (4, 1)
    assert read_metadata(store.index)["block"] == 4
    assert "block" not in read_metadata(tokenwise.index)
    for pooling in ("mean", "max"):
        expected = store.header.spans.pool(tokenwise.read(ids, pooling), pooling)
        np.testing.assert_allclose(store.read(ids, pooling), expected, rtol=1e-3)
    assert store.read(ids[:0], "mean").shape == (0, store.header.layers, 10)


def test_shards_of_different_blocks_are_refused(
    build: Callable[..., ShardReport], tmp_path: Path
) -> None:
    build(range(4))
    build(range(4, 8), "demo/shard-1.h5", SETTINGS.replace(block=2))
    with pytest.raises(EngramError, match="block is 2, in "):
        opened(tmp_path, "demo/shard-0.h5", "demo/shard-1.h5")


@pytest.mark.parametrize(
    "settings", [SETTINGS.replace(prefix=PREFIX - 1), SETTINGS.replace(mean_dtype="float16")]
)
def test_other_settings_are_computed_again(
    build: Callable[..., ShardReport], settings: ExtractionSettings
) -> None:
    build(range(4))
    assert build(range(4), "other/shard-0.h5", settings).forwards == 4


def test_other_model_is_computed_again(build: Callable[..., ShardReport], tmp_path: Path) -> None:
    build(range(4))
    other = Counted("beef")
    assert (
        build_shard(
            other.source, sequences(range(4)), tmp_path / ".parts", tmp_path / "other.h5", SETTINGS
        ).forwards
        == 4
    )


@pytest.mark.parametrize(
    ("bound", "value", "survived"), [("PART_ROWS", 4, 1), ("PART_ROWS", 4, 2), ("PART_BYTES", 1, 2)]
)
def test_killed_job_resumes_where_it_stopped(
    build: Callable[..., ShardReport],
    tmp_path: Path,
    counted: Counted,
    monkeypatch: pytest.MonkeyPatch,
    bound: str,
    value: int,
    survived: int,
) -> None:
    monkeypatch.setattr(shards, bound, value)  # a part per batch

    def interrupted(*arguments, **options):
        for number, batch in enumerate(extract(*arguments, **options)):
            if number == survived:
                raise KeyboardInterrupt
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(shards, "extract", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(range(12))
    assert not (tmp_path / "demo/shard-0.h5").exists()
    assert build(range(12)) == ShardReport(rows=12, forwards=12 - 4 * survived)


def test_rows_are_on_disk_once(
    build: Callable[..., ShardReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "PART_ROWS", 4)
    build(range(12))
    build(range(16))
    (kept,) = (tmp_path / ".parts" / "f00d").iterdir()
    assert kept.samefile(tmp_path / "demo/shard-0.h5")


def test_without_hard_links_the_shard_is_a_copy(
    build: Callable[..., ShardReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: Path) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(shards.os, "link", refuse)
    build(range(4))
    (kept,) = (tmp_path / ".parts" / "f00d").iterdir()
    assert kept.read_bytes() == (tmp_path / "demo/shard-0.h5").read_bytes()


def test_shard_has_the_same_rows_whatever_the_order_of_its_history(
    build: Callable[..., ShardReport], tmp_path: Path
) -> None:
    build(range(8), "one/shard-0.h5")
    build(range(4), "two/shard-0.h5")
    shuffled = [5, 2, 7, 0, 1, 3, 6, 4]
    build(shuffled, "two/shard-0.h5")
    # Up to rounding: a matrix product may sum in another order in a batch of another size.
    with (
        h5py.File(tmp_path / "one/shard-0.h5") as one,
        h5py.File(tmp_path / "two/shard-0.h5") as two,
    ):
        np.testing.assert_array_equal(one["sequence_id"][:], two["sequence_id"][:])
        np.testing.assert_allclose(one["mean"][:], two["mean"][:], atol=1e-6)
        np.testing.assert_allclose(one["max"][:], two["max"][:], atol=1e-3)


def test_file_that_another_job_removes_meanwhile_is_no_loss(
    build: Callable[..., ShardReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(range(4), "one.h5")
    build(range(4, 8), "two.h5")
    folder = tmp_path / ".parts" / "f00d"
    read = AttentionFile.read

    def after_another_job(file, rows, pooling):
        monkeypatch.setattr(AttentionFile, "read", read)
        build(range(8), "other/shard-0.h5")  # covers both files and removes them
        return read(file, rows, pooling)

    monkeypatch.setattr(AttentionFile, "read", after_another_job)
    assert build(range(8)).forwards == 0
    assert len(list(folder.iterdir())) == 1


def test_unfinished_files_of_killed_jobs_are_swept_after_a_day(
    build: Callable[..., ShardReport], tmp_path: Path
) -> None:
    folder = tmp_path / ".parts" / "f00d"
    folder.mkdir(parents=True)
    old, fresh = folder / ".part-old.h5.partial", folder / ".part-fresh.h5.partial"
    old.touch()
    fresh.touch()
    os.utime(old, (0, 0))
    build(range(2))
    assert not old.exists()
    assert fresh.exists()

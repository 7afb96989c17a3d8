"""The store: each sequence goes through the model once, and only intact rows of the right model
come out.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import gpt_neox, random_tokens

from engram.io.artifacts import read_metadata
from engram.io.errors import EngramError
from engram.io.schema import SCHEMA_VERSION
from engram.lm import oracle
from engram.lm.attention import extract, pooled_attention
from engram.lm.inputs import begin_with
from engram.store import shards
from engram.store.attention_file import AttentionFile, DamagedRows
from engram.store.index import AttentionStore, read_verification, write_index
from engram.store.parts import RowPiece
from engram.store.settings import ExtractionSettings
from engram.store.shards import ModelSource, ShardReport, build_shard, shard_of

WINDOW, PREFIX = 12, 6
SETTINGS = ExtractionSettings(prefix=PREFIX, batch_tokens=4 * WINDOW)


class Counted:
    """A model source that counts loads and the sequences that pass through the model."""

    def __init__(self, fingerprint: str = "f00d") -> None:
        self.loads, self.sequences = 0, 0
        self.source = ModelSource("tiny@main", fingerprint, self._load)

    def _load(self) -> torch.nn.Module:
        self.loads += 1
        model = gpt_neox()
        model.gpt_neox.embed_in.register_forward_pre_hook(self._count)
        return model

    def _count(self, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self.sequences += len(inputs[0])


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Counts what is extracted; the check against transformers sends more through the model."""
    monkeypatch.setattr(shards, "expect_some", lambda *_arguments: {})
    return Counted()


def sequences(ids: range | list[int]) -> pd.DataFrame:
    """Sequences whose tokens depend on their id alone."""
    return pd.DataFrame(
        {
            "sequence_id": list(ids),
            "tokens": [random_tokens(1, WINDOW, seed)[0].astype(np.int32) for seed in ids],
        }
    )


@pytest.fixture
def build(tmp_path: Path, counted: Counted) -> Callable[..., ShardReport]:
    """Builds a shard of some ids under a name, with a fresh process' memory of parts."""

    def build(
        ids: range | list[int],
        name: str = "demo/shard-0.h5",
        settings: ExtractionSettings = SETTINGS,
    ) -> ShardReport:
        return build_shard(
            counted.source, sequences(ids), tmp_path / ".parts", tmp_path / name, settings
        )

    return build


def opened(folder: Path, *names: str) -> AttentionStore:
    """The store over some shards."""
    paths = [folder / name for name in names]
    index = paths[0].with_name("index.parquet")
    write_index(paths, index)
    return AttentionStore(index)


# Which shard a sequence belongs to


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


# What a shard holds


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


# What is computed again: nothing


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

    def interrupted(*arguments):
        for number, batch in enumerate(extract(*arguments)):
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


# What is damaged


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


# What cannot be extracted


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

    def wrong(model, tokens, prefix, batch_tokens, block):
        # As on a GPU whose memory is half of what was thought.
        for batch in extract(model, tokens, prefix, batch_tokens // 2, block):
            first = {name: getattr(batch, name)[[0, 0]] for name in ("mean", "max")}
            yield replace(batch, **first) if batch.rows.start == 2 else batch

    with monkeypatch.context() as patch:
        patch.setattr(shards, "extract", wrong)
        with pytest.raises(EngramError, match=r"attention of layer \d differs .* was written"):
            build_shard(source, sequences(range(12)), *place)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert build_shard(source, sequences(range(12)), *place).forwards == 12

"""Shards of the attention store, built resumably.

Every sequence has one shard, by a hash of its id. To build a shard, finished rows are looked up in
the model's folder of finished work, whatever study or shard count they were computed for; only the
others go through the model, and they are kept there while the job runs. So is the finished shard,
as a hard link to the same bytes: deleting the shard (as Snakemake does before it runs a job again)
loses no row, and nothing is on disk twice."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from engram.io.artifacts import whole
from engram.io.errors import EngramError
from engram.io.hashing import content_digest, splitmix64
from engram.lm.attention import Extraction, extract
from engram.lm.inputs import opening
from engram.lm.models import check_tokens
from engram.lm.oracle import compare, expect_some
from engram.store.attention_file import (
    COLUMNS,
    POOLINGS,
    DamagedRows,
    Header,
    new_attention_file,
)
from engram.store.parts import FinishedRows, Place, by_file, key_matrix, row_keys
from engram.store.settings import ExtractionSettings

log = logging.getLogger(__name__)

PART_ROWS = 512
"""Rows after which a running extraction keeps what it has."""
PART_BYTES = 2**28
"""Bytes of maps after which it does so with fewer rows: long windows have large ones."""
PART_SECONDS = 60.0
"""Seconds after which it does so with fewer rows: what a kill can cost."""
COPY_ROWS = 512
"""Rows in memory while a shard is put together, or fewer that have `PART_BYTES`."""


@dataclass(frozen=True)
class ModelSource:
    """Which model a shard is of, and how to get it when it is needed."""

    name: str
    """Name and revision, for people."""
    fingerprint: str
    """`engram.lm.models.fingerprint` of it."""
    load: Callable[[], PreTrainedModel]
    """Called at most once, and only when a row is missing."""


@dataclass(frozen=True)
class ShardReport:
    """What building a shard took."""

    rows: int
    """Sequences in the shard."""
    forwards: int
    """Sequences that were sent through the model for it."""


def shard_of(sequence_ids: np.ndarray | pd.Series, shards: int) -> np.ndarray:
    """Return the shard of each sequence, 0 … shards - 1: the splitmix64 mix of its id (Steele, Lea
    and Flood 2014), modulo `shards`.

    It depends on the id alone, so a grown pool leaves every sequence where it is.
    """
    mixed = splitmix64(np.asarray(sequence_ids, dtype=np.int64).astype(np.uint64))
    return (mixed % np.uint64(shards)).astype(np.int64)


def build_shard(
    source: ModelSource,
    sequences: pd.DataFrame,
    parts_root: Path,
    output: Path,
    settings: ExtractionSettings,
) -> ShardReport:
    """Write one shard, and compute only the rows that no earlier job has finished.

    Args:
        source: the model.
        sequences: `sequence_id` and `tokens` (T of them, prefix and suffix) of the shard's
            sequences; it may be empty.
        parts_root: folder of finished work, shared by all studies; the folder in it that has the
            model's fingerprint as its name holds the model's rows.
        output: the shard.
        settings: prefix, precision and batch size.

    Returns:
        how many rows the shard has and how many sequences went through the model.

    Raises:
        EngramError: sequences of unequal length or with equal ids, tokens that the model cannot
            read, values that differ from transformers' own (`engram.lm.oracle`), a full disk.
    """
    sequences = sequences.sort_values("sequence_id", ignore_index=True)
    tokens = _token_matrix(sequences, settings.prefix, output)  # (n, T)
    keys = row_keys(tokens, settings.prefix, settings.mean_dtype, settings.block)
    finished = FinishedRows(parts_root / source.fingerprint, source.fingerprint)
    model, forwards = None, 0
    while True:
        places = finished.locate(keys)
        missing = [
            row
            for key, row in {key: row for row, key in enumerate(keys)}.items()
            if key not in places
        ]
        if missing:
            model = model or source.load()
            check_tokens(model, tokens, f"sequences of {output}")
            log.info(
                "%s: %d of %d sequences are new to the model", output, len(missing), len(sequences)
            )
            missing_keys = [keys[row] for row in missing]
            _extract(model, source, tokens[missing], missing_keys, finished, settings)
            forwards += len(missing)
            if forwards > 2 * len(keys):
                raise EngramError(
                    f"{finished.folder}: rows are damaged as soon as they are written; check the "
                    f"disk"
                )
            continue
        try:
            kept = _assemble(
                sequences["sequence_id"].to_numpy(),
                keys,
                [places[key] for key in keys],
                finished.folder,
                _empty_header(source, tokens.shape[1], settings),
            )
        except DamagedRows as error:
            finished.forget(error)
            continue
        break
    _link(kept, output)
    finished.remove_covered(kept, keys)
    return ShardReport(len(sequences), forwards)


def _token_matrix(sequences: pd.DataFrame, prefix: int, output: Path) -> np.ndarray:
    """Return tokens of all sequences, (n, T) int64, checked."""
    if (twice := sequences["sequence_id"].duplicated()).any():
        raise EngramError(
            f"sequences of {output}: sequence_id {sequences['sequence_id'][twice].iloc[0]} occurs "
            f"twice"
        )
    if not len(sequences):
        return np.empty((0, 0), np.int64)
    lengths = sequences["tokens"].map(len)
    if (other := lengths != lengths.iloc[0]).any():
        sequence, length = sequences["sequence_id"][other].iloc[0], lengths[other].iloc[0]
        raise EngramError(
            f"sequences of {output}: sequence_id {sequence} has {length} tokens, the others "
            f"{lengths.iloc[0]}"
        )
    if not 0 < prefix < lengths.iloc[0]:
        raise EngramError(
            f"sequences of {output}: a prefix of {prefix} tokens leaves no suffix in windows of "
            f"{lengths.iloc[0]}"
        )
    return np.stack(sequences["tokens"].tolist()).astype(np.int64)


def _extract(
    model: PreTrainedModel,
    source: ModelSource,
    tokens: np.ndarray,
    keys: Sequence[bytes],
    finished: FinishedRows,
    settings: ExtractionSettings,
) -> None:
    """Send sequences (n, T) through the model and keep their rows from time to time, also when the
    extraction breaks off; none before a few of them agree with transformers.
    """
    # Before the workers use the model.
    sizes = (settings.prefix, settings.batch_tokens, settings.block)
    expected = expect_some(model, tokens, *sizes)
    agreeing = len(expected)
    pending: list[Extraction] = []
    since = time.monotonic()

    def keep() -> None:
        nonlocal since
        batches = list(pending)
        pending.clear()
        since = time.monotonic()
        if not batches:
            return
        header = Header(
            model=source.name,
            fingerprint=source.fingerprint,
            dtype=str(model.dtype).removeprefix("torch."),
            prefix=settings.prefix,
            suffix=tokens.shape[1] - settings.prefix,
            layers=batches[0].max.shape[1],
            heads=batches[0].heads,
            mean_dtype=settings.mean_dtype,
            opening=opening(model),
            block=settings.block,
        )
        of_rows = keys[batches[0].rows.start : batches[-1].rows.stop]
        rows = {
            name: np.concatenate([getattr(batch, name) for batch in batches])
            for name in (*POOLINGS, *COLUMNS)
            if name != "sequence_id"
        }
        # What is kept knows sequences by their tokens alone.
        finished.write(header, of_rows, rows | {"sequence_id": np.full(len(of_rows), -1)})

    try:
        for batch in extract(model, tokens, *sizes, kernel=settings.kernel):
            for row in [row for row in expected if row < batch.rows.stop]:
                compare(model, expected[row], batch, row - batch.rows.start)
                del expected[row]
                if not expected:
                    log.info("%d sequences agree with transformers' own computation", agreeing)
            pending.append(batch)
            if not expected and (
                sum(len(batch.extracted) for batch in pending) >= PART_ROWS
                or sum(batch.mean.nbytes + batch.max.nbytes for batch in pending) >= PART_BYTES
                or time.monotonic() - since >= PART_SECONDS
            ):
                keep()
    finally:
        if not expected:
            keep()


def _empty_header(source: ModelSource, window: int, settings: ExtractionSettings) -> Header:
    """Return the header of a shard without rows, for which no model was loaded."""
    return Header(
        model=source.name,
        fingerprint=source.fingerprint,
        dtype="none",
        prefix=settings.prefix,
        suffix=max(0, window - settings.prefix),
        layers=0,
        heads=0,
        mean_dtype=settings.mean_dtype,
        block=settings.block,
    )


def _assemble(
    sequence_ids: np.ndarray,
    keys: Sequence[bytes],
    places: Sequence[Place],
    folder: Path,
    empty: Header,
) -> Path:
    """Write a shard into the folder of finished rows, under a name that says which rows it has.

    Args:
        sequence_ids: (n,), of the shard's rows.
        keys: of the n rows.
        places: where they are, n of them.
        folder: of finished rows.
        empty: header of a shard without rows.

    Returns:
        its path.

    Raises:
        DamagedRows: a row cannot be read.
    """
    # Another study may have called the model by another name.
    header = replace(places[0].file.header, model=empty.model) if places else empty
    shard = folder / f"shard-{content_digest(sequence_ids, b''.join(keys))}.h5"
    together = max(1, min(COPY_ROWS, PART_BYTES // header.bytes_of(1)))
    with new_attention_file(shard, len(places), header) as writer:
        for file, positions in by_file(places):
            for start in range(0, len(positions), together):
                some = positions[start : start + together]  # rows of the shard
                rows = [places[position].row for position in some]  # the same rows of the file
                columns = {name: file.columns[name][rows] for name in COLUMNS}
                columns |= {
                    "sequence_id": sequence_ids[some],
                    "key": key_matrix([keys[position] for position in some]),
                }
                maps = {pooling: file.read(rows, pooling) for pooling in POOLINGS}
                writer.write(some, maps, columns)
    return shard


def _link(kept: Path, output: Path) -> None:
    """Make `output` the same file as `kept`, or a copy where the file system has no hard links."""
    with whole(output) as temporary:
        try:
            os.link(kept, temporary)
        except OSError:
            shutil.copyfile(kept, temporary)

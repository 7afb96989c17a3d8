"""Shards of the attention store, built resumably.

Every sequence has one shard, by a hash of its id. To build a shard, finished rows are looked up in
the model's parts folder, whatever study or shard count they were computed for; only the others go
through the model, and they are kept as parts while the job goes on. The finished shard is kept in
the parts folder too, as a hard link to the same bytes: deleting the shard (as Snakemake does before
it runs a job again) loses no row, and nothing is on disk twice.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.io.hashing import splitmix64
from engram.lm.attention import Extraction, extract
from engram.lm.models import check_tokens
from engram.store.attention_file import (
    COLUMNS,
    KEY_BYTES,
    POOLINGS,
    DamagedRows,
    Header,
    new_attention_file,
)
from engram.store.parts import Parts, Place, read_places, row_keys
from engram.store.settings import ExtractionSettings

log = logging.getLogger(__name__)

PART_ROWS = 512
"""Rows after which a running extraction writes a part."""
PART_SECONDS = 60.0
"""Seconds after which it writes one all the same: what a kill can cost."""
COPY_ROWS = 256
"""Rows in memory while a shard is put together."""


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
    """Shard of each sequence, 0 … shards - 1: the splitmix64 mix of its id (Steele, Lea and Flood
    2014), modulo `shards`.

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
    """Writes one shard, and computes only the rows that no earlier job has finished.

    Args:
        source: the model.
        sequences: `sequence_id` and `tokens` (T of them, prefix and suffix) of the shard's
            sequences; it may be empty.
        parts_root: folder of finished rows, shared by all studies; the model's own folder in it
            bears its fingerprint.
        output: the shard.
        settings: prefix, precision and batch size.

    Returns:
        how many rows the shard has and how many sequences went through the model.

    Raises:
        EngramError: sequences of unequal length or with equal ids, tokens that the model cannot
            read, a full disk.
    """
    sequences = sequences.sort_values("sequence_id", ignore_index=True)
    tokens = _token_matrix(sequences, settings.prefix, output)  # (n, T)
    keys = row_keys(tokens, settings.prefix, settings.mean_dtype)
    parts = Parts(parts_root / source.fingerprint, source.fingerprint)
    model, forwards = None, 0
    while True:
        places = parts.locate(keys)
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
            _extract_parts(
                model,
                source,
                tokens[missing],
                [keys[row] for row in missing],
                parts.folder,
                settings,
            )
            forwards += len(missing)
            if forwards > 2 * len(keys):
                raise EngramError(
                    f"{parts.folder}: rows are damaged as soon as they are written; check the disk"
                )
            continue
        try:
            kept = _assemble(
                sequences["sequence_id"].to_numpy(),
                keys,
                places,
                parts.folder,
                source,
                settings,
                tokens.shape[1],
            )
        except DamagedRows as error:
            parts.forget(error)
            continue
        break
    _link(kept, output)
    parts.remove_covered(kept, keys)
    return ShardReport(len(sequences), forwards)


def _token_matrix(sequences: pd.DataFrame, prefix: int, output: Path) -> np.ndarray:
    """Tokens of all sequences, (n, T) int64, checked."""
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


def _extract_parts(
    model: PreTrainedModel,
    source: ModelSource,
    tokens: np.ndarray,
    keys: Sequence[bytes],
    folder: Path,
    settings: ExtractionSettings,
) -> None:
    """Sends sequences (n, T) through the model and writes their rows as parts while it goes on,
    also when it breaks off.
    """
    pending: list[Extraction] = []
    since = time.monotonic()

    def flush() -> None:
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
        )
        with new_attention_file(
            folder / f"part-{uuid.uuid4().hex}.h5",
            sum(len(batch.extracted) for batch in batches),
            header,
        ) as writer:
            for batch in batches:
                columns = {name: getattr(batch, name) for name in COLUMNS if name != "sequence_id"}
                columns |= {
                    "sequence_id": np.full(len(batch.extracted), -1),
                    "key": _key_matrix(keys[batch.rows]),
                }
                writer.append({"max": batch.max, "mean": batch.mean}, columns)

    try:
        for batch in extract(model, tokens, settings.prefix, settings.batch_tokens):
            pending.append(batch)
            if (
                sum(len(batch.extracted) for batch in pending) >= PART_ROWS
                or time.monotonic() - since >= PART_SECONDS
            ):
                flush()
    finally:
        flush()


def _assemble(
    sequence_ids: np.ndarray,
    keys: Sequence[bytes],
    places: dict[bytes, Place],
    folder: Path,
    source: ModelSource,
    settings: ExtractionSettings,
    window: int,
) -> Path:
    """Writes a shard into the parts folder from finished rows, and returns its path; its name tells
    which rows it has.

    Raises:
        DamagedRows: a row cannot be read.
    """
    rows = [places[key] for key in keys]
    if rows:  # another study may have called the model by another name
        header = replace(rows[0].file.header, model=source.name)
    else:
        header = Header(
            source.name,
            source.fingerprint,
            "none",
            settings.prefix,
            max(0, window - settings.prefix),
            0,
            0,
            settings.mean_dtype,
        )
    unique = folder / f"assembled-{uuid.uuid4().hex}.h5"
    with new_attention_file(unique, len(rows), header) as writer:
        for part in _slices(len(rows), COPY_ROWS):
            columns = {
                name: np.array([place.file.columns[name][place.row] for place in rows[part]])
                for name in COLUMNS
            }
            columns |= {"sequence_id": sequence_ids[part], "key": _key_matrix(keys[part])}
            writer.append(
                {pooling: read_places(rows[part], pooling) for pooling in POOLINGS}, columns
            )
    identity = hashlib.blake2b(
        sequence_ids.tobytes() + b"".join(keys), digest_size=KEY_BYTES
    ).hexdigest()
    return unique.replace(folder / f"shard-{identity}.h5")


def _link(kept: Path, output: Path) -> None:
    """Makes `output` the same file as `kept`, or a copy where the file system has no hard links."""
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.{uuid.uuid4().hex}.partial")
    try:
        try:
            os.link(kept, temporary)
        except OSError:
            shutil.copyfile(kept, temporary)
        temporary.replace(output)
    finally:
        # Renaming one link of a file over another of its links does nothing.
        temporary.unlink(missing_ok=True)


def _key_matrix(keys: Sequence[bytes]) -> np.ndarray:
    """Keys as an array (n, 16) uint8."""
    return np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), -1)


def _slices(rows: int, size: int) -> Iterator[slice]:
    for start in range(0, rows, size):
        yield slice(start, start + size)

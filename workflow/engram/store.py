"""The attention store: shards that hold each sequence of a model's pool once, written resumably and read with checks.

Every sequence has one shard, by a hash of its id. To build a shard, finished rows are looked up in the model's parts folder,
whatever study or shard count they were computed for; only the others go through the model, and they are kept as parts while
the job goes on. The finished shard is kept in the parts folder too, as a hard link to the same bytes: deleting the shard (as
Snakemake does before it runs a job again) loses no row, and nothing is on disk twice.
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

from engram.artifacts import read_metadata, read_parquet, write_parquet
from engram.attention import BATCH_TOKENS, Extraction, extract
from engram.attention_file import COLUMNS, KEY_BYTES, POOLINGS, AttentionFile, DamagedRows, Header, new_attention_file
from engram.errors import EngramError
from engram.models import check_tokens
from engram.parts import Parts, Place, read_places, row_keys

log = logging.getLogger(__name__)

PART_ROWS = 512
"""Rows after which a running extraction writes a part."""
PART_SECONDS = 60.0
"""Seconds after which it writes one all the same: what a kill can cost."""
COPY_ROWS = 256
"""Rows in memory while a shard is put together."""


@dataclass(frozen=True)
class ExtractionSettings:
    """How sequences become rows."""

    prefix: int = 32
    """Tokens of the prompt."""
    mean_dtype: str = "float32"
    """Precision of the stored mean maps. float32 gives Δ exactly; float16 saves a third of the disk, leaves logits within 1e-6
    and moves single Δ values by up to 5 % of the largest."""
    batch_tokens: int = BATCH_TOKENS
    """Tokens per forward."""


@dataclass(frozen=True)
class ModelSource:
    """Which model a shard is of, and how to get it when it is needed."""

    name: str
    """Name and revision, for people."""
    fingerprint: str
    """`engram.models.fingerprint` of it."""
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
    """Shard of each sequence, 0 … shards - 1: the splitmix64 mix of its id (Steele, Lea and Flood 2014), modulo `shards`.

    It depends on the id alone, so a grown pool leaves every sequence where it is.
    """
    mixed = np.asarray(sequence_ids, dtype=np.int64).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)  # wraps, as it should
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) % np.uint64(shards)).astype(np.int64)


def build_shard(source: ModelSource, sequences: pd.DataFrame, parts_root: Path, output: Path, settings: ExtractionSettings) -> ShardReport:
    """Writes one shard, and computes only the rows that no earlier job has finished.

    Args:
        source: the model.
        sequences: `sequence_id` and `tokens` (T of them, prefix and suffix) of the shard's sequences; it may be empty.
        parts_root: folder of finished rows, shared by all studies; the model's own folder in it bears its fingerprint.
        output: the shard.
        settings: prefix, precision and batch size.

    Returns:
        how many rows the shard has and how many sequences went through the model.

    Raises:
        EngramError: sequences of unequal length or with equal ids, tokens that the model cannot read, a full disk.
    """
    sequences = sequences.sort_values("sequence_id", ignore_index=True)
    tokens = _token_matrix(sequences, settings.prefix, output)  # (n, T)
    keys = row_keys(tokens, settings.prefix, settings.mean_dtype)
    parts = Parts(parts_root / source.fingerprint, source.fingerprint)
    model, forwards = None, 0
    while True:
        places = parts.locate(keys)
        missing = [row for key, row in {key: row for row, key in enumerate(keys)}.items() if key not in places]
        if missing:
            model = model or source.load()
            check_tokens(model, tokens, f"sequences of {output}")
            log.info("%s: %d of %d sequences are new to the model", output, len(missing), len(sequences))
            _extract_parts(model, source, tokens[missing], [keys[row] for row in missing], parts.folder, settings)
            forwards += len(missing)
            if forwards > 2 * len(keys):
                raise EngramError(f"{parts.folder}: rows are damaged as soon as they are written; check the disk")
            continue
        try:
            kept = _assemble(sequences["sequence_id"].to_numpy(), keys, places, parts.folder, source, settings, tokens.shape[1])
        except DamagedRows as error:
            parts.forget(error)
            continue
        break
    _link(kept, output)
    parts.remove_covered(kept, keys)
    return ShardReport(len(sequences), forwards)


def write_index(shards: Sequence[Path], output: Path) -> pd.DataFrame:
    """Writes where each sequence lies: sequence_id int64, shard int32 (position in `shards`), row int32; and returns it.

    Raises:
        EngramError: a broken shard, shards of different models or settings, or a sequence that two shards hold.
    """
    frames, first = [], None
    for number, path in enumerate(shards):
        file = AttentionFile(path)
        frames.append(
            pd.DataFrame(
                {"sequence_id": file.columns["sequence_id"], "shard": np.int32(number), "row": np.arange(len(file), dtype=np.int32)}
            )
        )
        if len(file) == 0:
            continue
        first = first or file
        for name, value in vars(first.header).items():
            if (found := getattr(file.header, name)) != value:
                raise EngramError(f"{path}: {name} is {found}, in {first.path} it is {value}; delete the outdated shard and run again")
    index = pd.concat(frames, ignore_index=True)
    if (twice := index["sequence_id"].duplicated()).any():
        raise EngramError(f"{output}: sequence_id {index['sequence_id'][twice].iloc[0]} is in two shards; delete the shards and run again")
    write_parquet(index, output, vars(first.header) if first else None)
    return index


def read_verification(shards: Sequence[Path]) -> pd.DataFrame:
    """What was measured while the sequences of the shards were extracted: sequence_id, extracted, matched_fraction,
    suffix_log_prob, as `engram.attention.Extraction` defines them."""
    files = [AttentionFile(path) for path in shards]
    return pd.DataFrame({name: np.concatenate([file.columns[name] for file in files]) for name in COLUMNS})


class AttentionStore:
    """Reads pooled attention by sequence.

    Args:
        index: `index.parquet`.
        shards: the shards in the order in which they were indexed.
    """

    def __init__(self, index: Path, shards: Sequence[Path]) -> None:
        self.index, self.shards = index, list(shards)
        frame = read_parquet(index, ["sequence_id", "shard", "row"])
        self._sequences = pd.Index(frame["sequence_id"])
        self._shard, self._row = frame["shard"].to_numpy(), frame["row"].to_numpy()
        if len(frame) and self._shard.max() >= len(self.shards):
            raise EngramError(f"{index}: it names shard {self._shard.max()}, but {len(self.shards)} shards are given")
        self._fingerprint = read_metadata(index).get("fingerprint")
        self._files: dict[int, AttentionFile] = {}

    def __len__(self) -> int:
        return len(self._sequences)

    @property
    def header(self) -> Header:
        """Model, window, layers and heads of the store.

        Raises:
            EngramError: the store is empty.
        """
        if len(self) == 0:
            raise EngramError(f"{self.index}: no sequence was extracted")
        return self._file(int(self._shard[0])).header

    def read(self, sequence_ids: np.ndarray | pd.Series, pooling: str) -> np.ndarray:
        """Packed attention of sequences in the order asked for, each row checked against its checksum.

        Args:
            sequence_ids: (n,), with or without repetitions.
            pooling: `max` (float16) or `mean` (float32 or float16, as the store was made).

        Returns:
            (n, L, P).

        Raises:
            EngramError: a sequence that the index lacks, a shard that is cut off or of another schema version, a row that does
                not match its checksum or is not the sequence the index says.
        """
        if pooling not in POOLINGS:
            raise EngramError(f"head pooling {pooling!r}: choose {' or '.join(POOLINGS)}")
        wanted = np.asarray(sequence_ids, dtype=np.int64)
        found = self._sequences.get_indexer(pd.Index(wanted))
        if (absent := found < 0).any():
            raise EngramError(
                f"{self.index}: {absent.sum()} of {len(wanted)} sequences are not in it, the first is sequence_id {wanted[absent][0]}"
            )
        if len(wanted) == 0:
            return np.empty((0, self.header.layers, self.header.packed), np.float16 if pooling == "max" else self.header.mean_dtype)
        places = [Place(self._file(int(shard)), int(row)) for shard, row in zip(self._shard[found], self._row[found], strict=True)]
        for sequence, place in zip(wanted, places, strict=True):
            if place.row >= len(place.file) or place.file.columns["sequence_id"][place.row] != sequence:
                raise EngramError(
                    f"{place.file.path}: row {place.row} is not sequence_id {sequence} as {self.index} says; run again to index it anew"
                )
        return read_places(places, pooling)

    def _file(self, shard: int) -> AttentionFile:
        if shard not in self._files:
            file = AttentionFile(self.shards[shard])
            if file.header.fingerprint != self._fingerprint:
                other = f"{file.header.model} ({file.header.fingerprint})"
                raise EngramError(f"{file.path}: it is of model {other}, {self.index} of {self._fingerprint}; run again to index it anew")
            self._files[shard] = file
        return self._files[shard]


def _token_matrix(sequences: pd.DataFrame, prefix: int, output: Path) -> np.ndarray:
    """Tokens of all sequences, (n, T) int64, checked."""
    if (twice := sequences["sequence_id"].duplicated()).any():
        raise EngramError(f"sequences of {output}: sequence_id {sequences['sequence_id'][twice].iloc[0]} occurs twice")
    if not len(sequences):
        return np.empty((0, 0), np.int64)
    lengths = sequences["tokens"].map(len)
    if (other := lengths != lengths.iloc[0]).any():
        sequence, length = sequences["sequence_id"][other].iloc[0], lengths[other].iloc[0]
        raise EngramError(f"sequences of {output}: sequence_id {sequence} has {length} tokens, the others {lengths.iloc[0]}")
    if not 0 < prefix < lengths.iloc[0]:
        raise EngramError(f"sequences of {output}: a prefix of {prefix} tokens leaves no suffix in windows of {lengths.iloc[0]}")
    return np.stack(sequences["tokens"].tolist()).astype(np.int64)


def _extract_parts(
    model: PreTrainedModel, source: ModelSource, tokens: np.ndarray, keys: Sequence[bytes], folder: Path, settings: ExtractionSettings
) -> None:
    """Sends sequences (n, T) through the model and writes their rows as parts while it goes on, also when it breaks off."""
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
        with new_attention_file(folder / f"part-{uuid.uuid4().hex}.h5", sum(len(batch.extracted) for batch in batches), header) as writer:
            for batch in batches:
                columns = {name: getattr(batch, name) for name in COLUMNS if name != "sequence_id"}
                columns |= {"sequence_id": np.full(len(batch.extracted), -1), "key": _key_matrix(keys[batch.rows])}
                writer.append({"max": batch.max, "mean": batch.mean}, columns)

    try:
        for batch in extract(model, tokens, settings.prefix, settings.batch_tokens):
            pending.append(batch)
            if sum(len(batch.extracted) for batch in pending) >= PART_ROWS or time.monotonic() - since >= PART_SECONDS:
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
    """Writes a shard into the parts folder from finished rows, and returns its path; its name tells which rows it has.

    Raises:
        DamagedRows: a row cannot be read.
    """
    rows = [places[key] for key in keys]
    if rows:  # another study may have called the model by another name
        header = replace(rows[0].file.header, model=source.name)
    else:
        header = Header(
            source.name, source.fingerprint, "none", settings.prefix, max(0, window - settings.prefix), 0, 0, settings.mean_dtype
        )
    unique = folder / f"assembled-{uuid.uuid4().hex}.h5"
    with new_attention_file(unique, len(rows), header) as writer:
        for part in _slices(len(rows), COPY_ROWS):
            columns = {name: np.array([place.file.columns[name][place.row] for place in rows[part]]) for name in COLUMNS}
            columns |= {"sequence_id": sequence_ids[part], "key": _key_matrix(keys[part])}
            writer.append({pooling: read_places(rows[part], pooling) for pooling in POOLINGS}, columns)
    identity = hashlib.blake2b(sequence_ids.tobytes() + b"".join(keys), digest_size=KEY_BYTES).hexdigest()
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

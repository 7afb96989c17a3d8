"""Labels of candidates that are too many for memory, batch by batch."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from multiprocessing.pool import AsyncResult, Pool
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from engram.io.artifacts import read_metadata, read_parquet
from engram.io.errors import EngramError
from engram.io.streams import ROWS, read_batches, stacked_tokens, stream_parquet
from engram.windows.code_classifier import OFFLINE, CodeClassifier
from engram.windows.labels import GIVEN, label, provenance, text_labels
from engram.windows.text_features import content_groups, token_counts

WAITING = 2
"""Batches that wait for each process, in addition to those that are being labelled."""


def write_labels(
    candidates: Path,
    output: Path,
    prefix: int,
    classifier: CodeClassifier = OFFLINE,
    processes: int = 1,
    counterpart: Path | None = None,
    prior: Path | None = None,
) -> None:
    """Write labels.parquet, as `labels.label` would label all candidates at once.

    The memory holds some batches of rows and all suffixes (four bytes a token), which are compared
    with one another.

    Args:
        candidates: candidates.parquet.
        output: labels.parquet; its metadata are the candidates' and which labels are the source's.
            The field `is_code` says in its own metadata how it was found.
        prefix: tokens of the prompt.
        classifier: of code and natural language.
        processes: that read texts at the same time; for one, or one batch of rows, it is this
            process.
        counterpart: counterpart.parquet, a row for each candidate in the same order; none unless
            given.
        prior: prior.parquet, whose columns the labels take over; none unless given.

    Raises:
        EngramError: as `labels.label`; the rows of the counterpart or of the prior are not those of
            the candidates.
    """
    read_metadata(candidates)  # what is no parquet file ends here, with its name
    answers = _answers(counterpart, candidates) if counterpart else None
    columns, rows = pq.read_schema(candidates).names, pq.read_metadata(candidates).num_rows
    processes = min(processes, -(-rows // ROWS))
    # Forked before anything here starts a thread, and they only read texts. (Spawned ones would run
    # Snakemake's script again.)
    with (
        multiprocessing.get_context("fork").Pool(processes)
        if processes > 1
        else nullcontext() as pool
    ):
        identifiers, suffixes, counts = _survey(candidates, prefix)
        if len(np.unique(identifiers)) < len(identifiers):
            raise EngramError(
                f"{candidates}: a sequence_id stands twice; every window needs its own"
            )
        groups = content_groups(suffixes)
        del suffixes
        found = provenance(columns, classifier)
        metadata = (
            read_metadata(candidates)
            | found
            | {"labels_of_source": [name for name in GIVEN if name in columns]}
            | (read_metadata(counterpart) if counterpart else {})
        )
        if prior:
            metadata["prior"] = {key: read_metadata(prior)[key] for key in ("prefixes", "seed")}
        work = partial(text_labels, columns=columns, classifier=classifier)
        priors = read_batches(prior) if prior else None
        with (
            stream_parquet(output, metadata) as stream,
            tqdm(total=rows, desc="labels", unit="row", mininterval=2) as progress,
        ):
            for table, of_texts in _with_text_labels(
                pool, processes, work, read_batches(candidates)
            ):
                frame, part = table.to_pandas(), slice(stream.rows, stream.rows + len(table))
                if answers is not None:
                    frame = frame.assign(
                        **{str(name): answers[name].to_numpy()[part] for name in answers}
                    )
                labels, _ = label(frame, prefix, classifier, counts, of_texts)
                labels["content_group"] = groups[part]
                if priors:
                    labels = _with_prior(labels, next(priors).to_pandas(), prior)
                written = pa.Table.from_pandas(labels, preserve_index=False)
                place = written.schema.get_field_index("is_code")
                field = written.schema.field(place).with_metadata({"found_by": found["is_code"]})
                stream.append(written.set_column(place, field, written["is_code"]))
                progress.update(len(labels))


def _answers(counterpart: Path, candidates: Path) -> pd.DataFrame:
    """Return what a counterpart makes of the candidates, in their order."""
    answers = read_parquet(counterpart)
    sequence_ids = [
        table["sequence_id"].to_numpy() for table in read_batches(candidates, ["sequence_id"])
    ]
    if not np.array_equal(answers["sequence_id"].to_numpy(), np.concatenate(sequence_ids)):
        raise EngramError(
            f"{counterpart}: its rows are not those of {candidates}; delete both and run again"
        )
    return answers.drop(columns="sequence_id")


def _with_prior(labels: pd.DataFrame, prior: pd.DataFrame, file: Path | None) -> pd.DataFrame:
    """Return the labels of a batch with the columns of its prior."""
    if prior["sequence_id"].tolist() != labels["sequence_id"].tolist():
        raise EngramError(f"{file}: not the prior of these candidates; delete it and run again")
    return labels.assign(**prior.drop(columns="sequence_id"))


def _with_text_labels(
    pool: Pool | None,
    processes: int,
    work: Callable[[list[str]], dict[str, np.ndarray]],
    batches: Iterator[pa.Table],
) -> Iterator[tuple[pa.Table, dict[str, np.ndarray]]]:
    """Yield each batch with what `work` makes of its texts, in order; only as many are read ahead
    as the processes need.
    """
    waiting: deque[tuple[pa.Table, AsyncResult]] = deque()
    for table in batches:
        texts = table["text"].to_pylist()
        if pool is None:
            yield table, work(texts)
            continue
        waiting.append((table, pool.apply_async(work, (texts,))))
        if len(waiting) >= WAITING * processes:
            first, result = waiting.popleft()
            yield first, result.get()
    for table, result in waiting:
        yield table, result.get()


def _survey(candidates: Path, prefix: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the sequence_id int64 (n,) and suffix tokens int32 (n, S) of all candidates, and the
    occurrences of every token id in them.
    """
    identifiers, suffixes, counts = [], [], np.zeros(0, dtype=np.int64)
    for table in read_batches(candidates, ["sequence_id", "tokens"]):
        tokens = stacked_tokens(table)  # (rows, T)
        identifiers.append(table["sequence_id"].to_numpy())
        suffixes.append(tokens[:, prefix:].copy())
        counts = token_counts(tokens, counts)
    if not suffixes:
        raise EngramError(f"{candidates}: the table is empty; the source gave no windows")
    return np.concatenate(identifiers), np.concatenate(suffixes), counts

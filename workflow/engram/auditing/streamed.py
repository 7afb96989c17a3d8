"""The audit of documents that are too large for memory together: one document and one batch of
windows at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from engram.auditing.documents import Document, changed, check_windows
from engram.auditing.regions import Scored
from engram.auditing.settings import AuditSettings
from engram.auditing.tables import DocumentPart, all_regions, audit_document
from engram.auditing.windows import measure
from engram.io.artifacts import write_parquet
from engram.io.errors import EngramError
from engram.io.streams import (
    ROWS,
    ParquetStream,
    RowFile,
    read_batches,
    stacked_tokens,
    stream_parquet,
)
from engram.taxonomy.taxonomy import Taxonomy

COLUMNS = ("sequence_id", "document", "offset", "tokens", "token_matches", "token_log_probs")
"""Columns of the candidates that an audit reads."""
AT_ONCE = 1 << 13
"""Windows that are read at a time, some 10 MB."""
SCORED = {
    **{name: pa.list_(pa.bool_()) for name in ("covered", "reproduced", "matched")},
    "log_probs": pa.list_(pa.float32()),
    "best": pa.list_(pa.int64()),
}
"""Types of the fields of `Scored` in a file."""


@dataclass(frozen=True)
class AuditFiles:
    """Where the tables of an audit go."""

    documents: Path
    """A row per document: `engram.auditing.tables.summarize`."""
    windows: Path
    """A row per window: `engram.auditing.windows.measure`."""
    regions: Path
    """A row per region: `engram.auditing.regions.describe`."""
    tokens: Path
    """Document and `Scored`, a row and a row group per document."""


@dataclass(frozen=True)
class _Windows:
    """Consecutive windows of a document."""

    document: str
    measured: pd.DataFrame
    tokens: np.ndarray
    matches: np.ndarray
    log_probs: np.ndarray


def write_audit(
    documents: Iterable[Document],
    candidates: Path,
    labels: Path,
    prefix: int,
    taxonomy: Taxonomy,
    settings: AuditSettings,
    files: AuditFiles,
    metadata: dict[str, Any],
) -> None:
    """Write the tables of an audit, as `engram.auditing.tables.audit_windows` makes them of all
    documents at once.

    In memory are a document with its windows, a value per token of their suffixes, and of all
    documents the rows of the tables of documents and regions.

    Args:
        documents: all of them, in the order in which their windows were cut.
        candidates: their windows, scored.
        labels: of the same windows in the same order.
        prefix: tokens that prompt the model.
        taxonomy: gives the windows that the model reproduces their class.
        settings: probabilities and thresholds.
        files: where the tables go.
        metadata: what the artifacts record.

    Raises:
        EngramError: a file cannot be read, or the documents are not those of the windows.
    """
    rows, regions = [], []
    with (
        stream_parquet(files.windows, metadata) as windows,
        stream_parquet(files.tokens, metadata) as tokens,
    ):
        held: list[pd.DataFrame] = []
        parts = _audited(documents, candidates, labels, prefix, taxonomy, settings)
        for document, measured, part in parts:
            rows.append(part.summary)
            regions.append(part.regions)
            tokens.append(_scored_table(document.name, part.scored))
            held.append(measured)
            if sum(map(len, held)) >= ROWS:
                _append(windows, held)
        _append(windows, held)
    write_parquet(pd.DataFrame(rows), files.documents, metadata)
    write_parquet(all_regions(regions), files.regions, metadata)


def _audited(
    documents: Iterable[Document],
    candidates: Path,
    labels: Path,
    prefix: int,
    taxonomy: Taxonomy,
    settings: AuditSettings,
) -> Iterator[tuple[Document, pd.DataFrame, DocumentPart]]:
    """Yield every document with its measured windows and what is reproduced of it."""
    parts = _parts(candidates, labels, taxonomy, settings)
    waiting = next(parts, None)
    if waiting is None:
        raise EngramError(f"{candidates}: no windows; delete the file and run again")
    none = waiting
    for document in documents:
        own = []
        while waiting is not None and waiting.document == document.name:
            offsets = waiting.measured["offset"].to_numpy()
            check_windows(document, offsets, waiting.tokens, candidates)
            own.append(waiting)
            waiting = next(parts, None)
        # Tokens of the windows are not kept, and a document without windows has empty tables.
        measured = pd.concat([part.measured for part in own] or [none.measured[:0]])
        measured = measured.reset_index(drop=True)
        matches = np.concatenate([part.matches for part in own] or [none.matches[:0]])
        log_probs = np.concatenate([part.log_probs for part in own] or [none.log_probs[:0]])
        del own
        result = audit_document(document, prefix, measured, matches, log_probs, taxonomy, settings)
        yield document, measured, result
    if waiting is not None:
        raise changed(waiting.document, candidates)


def _parts(
    candidates: Path, labels: Path, taxonomy: Taxonomy, settings: AuditSettings
) -> Iterator[_Windows]:
    """Yield consecutive windows of one document, no more than a batch."""
    batches = read_batches(candidates, COLUMNS, AT_ONCE)
    for table, labelled in zip(batches, read_batches(labels, rows=AT_ONCE), strict=True):
        if not table["sequence_id"].equals(labelled["sequence_id"]):
            raise EngramError(f"{labels}: not the labels of {candidates}; delete it and run again")
        tokens, matches, log_probs = (stacked_tokens(table, name) for name in COLUMNS[3:])
        frame = table.select(COLUMNS[:3]).to_pandas().assign(token_log_probs=list(log_probs))
        measured = measure(frame, labelled.to_pandas(), taxonomy, settings.probabilities)
        names = frame["document"].to_numpy(object)
        edges = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(names)]
        for start, end in pairwise(edges):
            part = slice(start, end)
            arrays = (tokens[part], matches[part], log_probs[part])
            yield _Windows(str(names[start]), measured.iloc[part], *arrays)


def _append(stream: ParquetStream, held: list[pd.DataFrame]) -> None:
    """Write the windows that are held, and hold none."""
    filled = [table for table in held if len(table)]
    held.clear()
    if filled:
        table = pa.Table.from_pandas(pd.concat(filled, ignore_index=True), preserve_index=False)
        place = table.schema.get_field_index("class")
        # A batch in which no class holds would have a type of its own.
        stream.append(table.set_column(place, "class", table["class"].cast(pa.string())))


def _scored_table(name: str, scored: Scored) -> pa.Table:
    arrays = {key: pa.array([getattr(scored, key)], kind) for key, kind in SCORED.items()}
    return pa.table({"document": [name], **arrays})


class ScoredFile(Sequence[Scored]):
    """What windows say of the tokens of each document; one document at a time is in memory.

    Args:
        path: `AuditFiles.tokens`.

    Raises:
        EngramError: the file cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self._rows = RowFile(path, [field.name for field in fields(Scored)])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: Any) -> Any:
        """Return the scores of a document by its number, from 0."""
        row = self._rows.row(number)
        return Scored(**{key: np.array(row[key].values) for key in SCORED})

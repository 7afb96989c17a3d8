"""The prior of candidates: how likely a model finds their suffixes after unrelated prefixes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedModel

from engram.io.streams import read_batches, read_selected, stacked_tokens, stream_parquet
from engram.lm.generation import BATCH_TOKENS
from engram.lm.models import check_tokens
from engram.lm.prior import PRIOR_COLUMNS, prior_scores
from engram.windows.clusters import known_documents
from engram.windows.unrelated import Windows, pooled, unrelated_prefixes

log = logging.getLogger(__name__)


def write_prior(
    candidates: Path,
    output: Path,
    model: PreTrainedModel,
    prefix: int,
    prefixes: int,
    seed: int,
    metadata: dict[str, Any],
    batch_tokens: int = BATCH_TOKENS,
) -> None:
    """Write prior.parquet: sequence_id and the columns of `engram.lm.prior.prior_scores`, a row per
    candidate in the order of the candidates.

    Windows that an early exit left unscored are not read; their columns are empty.

    Args:
        candidates: candidates.parquet.
        output: prior.parquet.
        model: the model that is studied.
        prefix: tokens of the prompt.
        prefixes: unrelated prefixes for every window.
        seed: the study's; it decides which.
        metadata: what the artifact records.
        batch_tokens: tokens per batch of the model.

    Raises:
        EngramError: the file cannot be read, the model cannot read its tokens, or a window has
            fewer unrelated prefixes.
    """
    columns = pq.read_schema(candidates).names
    known = [name for name in ("document", "source", "kind", "scored") if name in columns]
    identifiers, read = [], 0
    for table in read_batches(candidates, ["sequence_id", *known]):
        identifiers.append(table["sequence_id"].to_numpy())
        read += sum(_scored(table))
    ids = np.concatenate(identifiers)
    pool = _pool(candidates, ids[pooled(ids, seed)], known)
    log.info(
        "%d windows: %d forwards, %d of them after unrelated prefixes",
        *(read, read * (prefixes + 1), read * prefixes),
    )
    with stream_parquet(output, metadata | {"prefixes": prefixes, "seed": seed}) as stream:
        for table in read_batches(candidates, ["sequence_id", "tokens", *known]):
            windows = _windows(table)
            check_tokens(model, windows.tokens, str(candidates))
            rows = np.flatnonzero(_scored(table))
            scores = pd.DataFrame(columns=list(PRIOR_COLUMNS), dtype=float)
            if len(rows):
                some = windows.rows(rows)
                others = unrelated_prefixes(some, pool, prefix, prefixes, seed)
                scores = prior_scores(model, some.tokens, prefix, others, batch_tokens)
            scores = scores.set_axis(rows).reindex(np.arange(len(table)))
            scores.insert(0, "sequence_id", windows.sequence_id)
            stream.append(pa.Table.from_pandas(scores, preserve_index=False))


def _pool(candidates: Path, identifiers: np.ndarray, known: list[str]) -> Windows:
    """Return the windows with these ids, in their order."""
    columns = ["sequence_id", "tokens", *known]
    pool = _windows(pa.Table.from_pandas(read_selected(candidates, identifiers, columns)))
    order = np.argsort(pool.sequence_id)
    return pool.rows(order[np.searchsorted(pool.sequence_id[order], identifiers)])


def _windows(table: pa.Table) -> Windows:
    """Return the windows of a table of candidates."""
    document = known_documents(table.drop(["tokens"]).to_pandas()).to_numpy(object)
    return Windows(table["sequence_id"].to_numpy(), stacked_tokens(table), document)


def _scored(table: pa.Table) -> np.ndarray:
    """Return which windows were scored, bool (n,): all of them without an early exit."""
    if "scored" not in table.column_names:
        return np.ones(len(table), bool)
    return table["scored"].to_numpy()

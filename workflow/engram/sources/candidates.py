"""The candidates that every source writes: which columns there are, and how each is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from engram.io.errors import EngramError
from engram.sources import checks
from engram.sources.checks import Place
from engram.sources.files import Rows

CHECKS: dict[str, Callable[[pa.ChunkedArray, str, Place], Any]] = {
    "sequence_id": checks.integers,
    "text": checks.texts,
    "sequence_duplicates": checks.counts,
    "memorization_score": checks.scores,
    "is_repeating": checks.flags,
    "is_incrementing": checks.flags,
    "is_code": checks.flags,
    "trains": checks.flags,
    "huffman_coding_length": checks.numbers,
    "prompt_perplexity_published": checks.numbers,
    "generation_perplexity_published": checks.numbers,
    "sequence_perplexity_published": checks.numbers,
    "max_frequency": checks.numbers,
    "avg_frequency": checks.numbers,
    "min_frequency": checks.numbers,
    "median_frequency": checks.numbers,
}
"""Columns that a source may bring with `tokens`. Perplexities as the published data compute them
keep `_published`.
"""


def checked_columns(rows: Rows, columns: Mapping[str, str]) -> dict[str, Any]:
    """Return some columns of a batch by Engram's names, checked.

    Args:
        rows: the batch.
        columns: the file's column for each of Engram's, `tokens` excepted.

    Raises:
        EngramError: a value is missing, of the wrong type, or out of range.
    """
    return {
        name: CHECKS[name](rows.table[column], column, rows.place)
        for name, column in columns.items()
    }


def window_table(tokens: np.ndarray, columns: Mapping[str, Any]) -> pa.Table:
    """Return the candidates as they are stored: sequence_id, tokens list<int32>[T] and the other
    columns.

    Args:
        tokens: int32 (n, T).
        columns: values by Engram's names; `sequence_id` is among them.
    """
    n, length = tokens.shape
    offsets = pa.array(np.arange(0, (n + 1) * length, length, dtype=np.int32))
    listed = pa.ListArray.from_arrays(offsets, pa.array(tokens.ravel(), pa.int32()))
    others = {name: values for name, values in columns.items() if name != "sequence_id"}
    return pa.table({"sequence_id": columns["sequence_id"], "tokens": listed, **others})


def first_occurrences(sequence_ids: np.ndarray) -> np.ndarray:
    """Return whether each row is the first of its sequence_id, bool (n,)."""
    return ~pd.Series(sequence_ids).duplicated().to_numpy()


def refuse_repeated(sequence_ids: Sequence[np.ndarray], files: Sequence[str]) -> None:
    """Check that no sequence stands twice in a source.

    Args:
        sequence_ids: of every file, in its order.
        files: their names.

    Raises:
        EngramError: one does; names both places.
    """
    every = np.concatenate([np.empty(0, np.int64), *sequence_ids])
    if first_occurrences(every).all():
        return
    starts = np.cumsum([0, *map(len, sequence_ids)])
    second = int(np.argmin(first_occurrences(every)))
    first = int(np.argmax(every == every[second]))
    places = [
        f"row {row - starts[file]} of {files[file]}"
        for row in (first, second)
        for file in [int(np.searchsorted(starts, row, "right")) - 1]
    ]
    raise EngramError(
        f"{files[0]}: sequence_id {every[second]} stands twice, in {places[0]} and {places[1]}; "
        f"every window needs its own"
    )

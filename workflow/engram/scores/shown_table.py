"""The table of the text that the samples of each class show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from engram.io.streams import read_batches, stacked_tokens
from engram.scores.bootstrap import Interval, cluster_sums, mean_interval, share_interval
from engram.taxonomy.pool import read_pool
from engram.windows.shown_text import holds_run, text_measures


def described_texts(
    samples: str | Path, candidates: str | Path, continuations: str | Path, prefix: int
) -> pd.DataFrame:
    """Return what the texts that a model's samples show have by themselves.

    Args:
        samples: the samples of all lists.
        candidates: the windows.
        continuations: what the model writes.
        prefix: tokens of the prompt.

    Returns:
        By sequence_id: `engram.windows.shown_text.TEXT_MEASURES`; whether the suffix holds a run of
        `engram.windows.shown_text.RUN` tokens of another window (run_of_other_window), and where
        the candidates say which windows were drilled, of one of those (run_of_drilled_window) and
        of one that was not.
    """
    texts = read_pool(samples, candidates, continuations)
    ids, tokens = texts["sequence_id"].to_numpy(), np.stack(texts["tokens"].tolist())
    measures = text_measures(tokens, prefix)
    kinds: dict[str, bool | None] = {"run_of_other_window": None}
    if "exposures" in pq.read_schema(candidates).names:
        kinds = {"run_of_drilled_window": True, "run_of_other_window": False}
    for name, drilled in kinds.items():
        measures[name] = holds_run(tokens[:, prefix:], ids, _windows(candidates, drilled))
    return pd.DataFrame(measures, index=pd.Index(ids, name="sequence_id"))


def _windows(path: str | Path, drilled: bool | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield sequence_id and tokens of the candidates; of those that were drilled or were not where
    `drilled` says so.
    """
    columns = ["sequence_id", "tokens", *(["exposures"] if drilled is not None else [])]
    for part in read_batches(path, columns):
        ids, tokens = part["sequence_id"].to_numpy(), stacked_tokens(part)
        if drilled is not None:
            chosen = (part["exposures"].to_numpy() > 0) == drilled
            ids, tokens = ids[chosen], tokens[chosen]
        yield ids, tokens


def shown_table(
    chosen: pd.DataFrame,
    classes: Sequence[str],
    group: np.ndarray,
    measures: pd.DataFrame,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Tabulate what the texts that a class shows have by themselves.

    Args:
        chosen: the samples of one taxonomy: class, n rows.
        classes: the K class names.
        group: content group of every sample, (n,); samples of one group count as one unit of the
            interval.
        measures: a column per measure, n rows; truth values become shares.
        confidence: of the intervals.

    Returns:
        class, measure, value with `_low` and `_high` (a mean, or a share with a Wilson interval,
        over content groups), n (samples), groups (content groups).
    """
    rows: list[dict[str, object]] = []
    for name in classes:
        own = (chosen["class"] == name).to_numpy()
        for measure in measures:
            values = measures[measure].to_numpy()[own]
            interval = group_mean(values, group[own], confidence)
            row: dict[str, object] = {"class": name, "measure": measure}
            row |= interval.columns("value")
            rows.append(row | {"n": int(own.sum()), "groups": len(np.unique(group[own]))})
    return pd.DataFrame(rows)


def group_mean(values: np.ndarray, group: np.ndarray, confidence: float) -> Interval:
    """Return the mean of values (n,) and its interval over groups, (n,): by Student's t, and by
    Wilson's where the values are truth values. NaN without values.
    """
    if not len(values):
        return Interval(np.nan, np.nan, np.nan)
    sums, sizes = cluster_sums(values.astype(float)[:, None], group)
    ends = share_interval if values.dtype == bool else mean_interval
    return ends(sums[:, 0], sizes, confidence)

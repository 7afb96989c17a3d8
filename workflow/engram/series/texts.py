"""What the texts of a bucket or a class have in common: how frequent their tokens are, and which
domain they are of.

(P) Mean token frequency of full, half and none, and their domains; the paper counts Llama-2 tokens
in an infini-gram index. (U) The model's own tokens, counted where the source counts them; n-grams;
classes; intervals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from engram.io.hashing import uniform
from engram.scores.bootstrap import cluster_sums, mean_interval, share_interval
from engram.series.measures import KEYS, SCORE, column_of
from engram.windows.shown_text import run_hashes

ALL_WINDOWS = "all windows"
"""The value of `measure` for all windows that count."""
FREQUENCIES = {
    "token_frequency": "avg_frequency",
    "rarest_token_frequency": "min_frequency",
    "suffix_occurrences": "sequence_duplicates",
}
"""Property → label whose logarithm it is."""
NGRAMS = (2, 3)
"""Lengths of n-grams that are counted."""
MOST = 200_000
"""Windows of a model that are described; of more, those with the lowest permanent numbers."""


def described(windows: pd.DataFrame, seed: int, most: int = MOST) -> pd.DataFrame:
    """Return at most so many windows, drawn by permanent random numbers of their sequence_id."""
    if len(windows) <= most:
        return windows
    number = uniform(windows["sequence_id"].to_numpy(), seed, "described")
    return windows.iloc[np.sort(np.argsort(number, kind="stable")[:most])]


def ngram_frequencies(tokens: np.ndarray, length: int) -> np.ndarray:
    """Return how often a window's n-grams occur in all these windows, their mean, float64 (n,).

    Args:
        tokens: (n, T).
        length: tokens of an n-gram.
    """
    keys = run_hashes(tokens, length)  # (n, T - length + 1)
    _, number, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return counts[number].reshape(keys.shape).mean(1)


def text_properties(labels: pd.DataFrame, tokens: np.ndarray, domain: np.ndarray) -> pd.DataFrame:
    """Return properties of n windows, float64, with the index of `labels`.

    Args:
        labels: of the windows; what `FREQUENCIES` names and they lack is left out.
        tokens: of the windows, (n, T).
        domain: of each, (n,).

    Returns:
        log₁₀ of the frequencies, `token_frequency` and so on, and of those of n-grams,
        `2-gram_frequency`; for every domain, 1 for its windows and 0 for others.
    """
    frequencies = {
        name: labels[label].to_numpy(np.float64)
        for name, label in FREQUENCIES.items()
        if label in labels
    } | {f"{length}-gram_frequency": ngram_frequencies(tokens, length) for length in NGRAMS}
    columns = {name: np.log10(np.maximum(value, 1)) for name, value in frequencies.items()}
    names = sorted({str(name) for name in domain})
    columns |= {f"domain: {name}": domain.astype(str) == name for name in names}
    return pd.DataFrame(columns, index=labels.index).astype(np.float64)


def property_table(
    windows: pd.DataFrame,
    properties: pd.DataFrame,
    measures: Sequence[tuple[str, str]],
    confidence: float,
) -> pd.DataFrame:
    """Return the mean of every property in every bucket and class of one model.

    Args:
        windows: as `engram.series.measures.windows_of` returns them.
        properties: of the same windows, in their order.
        measures: as `engram.series.measures.measure_names` returns them.
        confidence: of the intervals over content groups: Wilson's for domains, else Student's t.

    Returns:
        taxonomy, measure, property, n, groups, value, low, high; buckets and classes without a
        window have no rows.
    """
    own = {("", ALL_WINDOWS): np.ones(len(windows), bool)} | {
        measure: windows[column_of(*measure)].to_numpy() == 1
        for measure in measures
        if measure != ("", SCORE)
    }
    groups = windows["content_group"].to_numpy()
    rows = []
    for measure, inside in own.items():
        if not inside.any():
            continue
        sums, sizes = cluster_sums(properties.to_numpy()[inside], groups[inside])
        for position, name in enumerate(properties):
            interval_of = share_interval if str(name).startswith("domain: ") else mean_interval
            interval = interval_of(sums[:, position], sizes, confidence)
            rows.append(
                {
                    **dict(zip(KEYS, measure, strict=True)),
                    "property": name,
                    "n": int(inside.sum()),
                    "groups": len(sizes),
                    "value": interval.value,
                    "low": interval.low,
                    "high": interval.high,
                }
            )
    return pd.DataFrame(rows)

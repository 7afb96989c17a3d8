"""What the knock-outs cost, paired with the intact model, with intervals over content groups.

Samples of one content group hold the same text, so whole groups are drawn. Intervals are percentile
intervals of means of paired differences (`engram.scores.bootstrap`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from engram.knockout.trials import COLUMNS
from engram.lm.conditions import MEASURES
from engram.scores.bootstrap import (
    WEIGHTS_IN_MEMORY,
    cluster_means,
    cluster_sums,
    draw_counts,
    percentile_ends,
)


def measure_array(results: pd.DataFrame) -> np.ndarray:
    """Return the measures of results in the order in which the experiment wrote them, float64
    (C, n, 3): C conditions, n samples, `engram.lm.conditions.MEASURES`.
    """
    values = results[list(MEASURES)].to_numpy(np.float64)
    return values.reshape(results["condition"].nunique(), -1, len(MEASURES))


def effect_table(
    conditions: pd.DataFrame,
    results: pd.DataFrame,
    classes: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """Tabulate the measures of every condition and class, and their differences from the intact
    model.

    Args:
        conditions: of `engram.knockout.experiment.run`.
        results: of `engram.knockout.experiment.run`, a row per condition and sample.
        classes: the K class names.
        resamples: bootstrap draws of content groups.
        confidence: nominal coverage of the intervals.
        seed: of the bootstrap.

    Returns:
        The columns of `conditions`, `class`, `n`, `groups`; for every measure its mean over the
        samples, `<measure>_difference` (knocked out minus intact, so a loss is negative) and the
        interval of the difference, `<measure>_low` and `<measure>_high`.
    """
    measures = measure_array(results)  # (C, n, 3)
    first = results.iloc[: measures.shape[1]]
    differences = measures - measures[:1]
    generator = np.random.default_rng(seed)
    chunk = max(1, WEIGHTS_IN_MEMORY // (resamples * len(MEASURES)))
    tables = []
    for name in classes:
        rows = (first["class"] == name).to_numpy()
        group = first["content_group"].to_numpy()[rows]
        counts = draw_counts(generator, len(np.unique(group)), resamples)  # (R, G)
        table = conditions[["condition", *COLUMNS, "cells", "mass"]].copy()
        table["class"], table["n"], table["groups"] = name, int(rows.sum()), counts.shape[1]
        ends = [
            _ends(differences[start : start + chunk, rows], group, counts, confidence)
            for start in range(0, len(measures), chunk)
        ]
        for position, measure in enumerate(MEASURES):
            table[measure] = measures[:, rows, position].mean(axis=1)
            table[f"{measure}_difference"] = differences[:, rows, position].mean(axis=1)
            low, high = np.concatenate(ends)[:, position].T
            table[f"{measure}_low"], table[f"{measure}_high"] = low, high
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _ends(
    differences: np.ndarray, group: np.ndarray, counts: np.ndarray, confidence: float
) -> np.ndarray:
    """Return interval ends of mean differences, (C, n, 3) → (C, 3, 2).

    Args:
        differences: of n samples.
        group: content group of each sample, (n,).
        counts: how often each content group is drawn, (R, G).
        confidence: nominal coverage.
    """
    conditions, n, measures = differences.shape
    sums, sizes = cluster_sums(differences.transpose(1, 0, 2).reshape(n, -1), group)
    ends = percentile_ends(cluster_means(counts, sums, sizes), confidence)  # (C·3,) each
    return np.stack(ends, axis=-1).reshape(conditions, measures, 2)

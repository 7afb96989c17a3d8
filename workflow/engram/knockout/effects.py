"""What the knock-outs cost: paired against the intact model, with intervals by a bootstrap over
content groups.

Samples of one content group hold the same text, so whole groups are drawn. Percentile intervals of
means of paired differences.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from engram.knockout.trials import COLUMNS
from engram.lm.conditions import MEASURES

_CHUNK = 256
"""Conditions at a time."""


def group_weights(groups: int, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """How often each of G groups is drawn in every resample, float64 (R, G)."""
    return generator.multinomial(groups, np.full(groups, 1 / groups), resamples).astype(np.float64)


def group_sums(values: np.ndarray, content_group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of values (n, X) over content groups, (G, X), and the groups' sizes, (G,)."""
    number, uniques = pd.factorize(content_group)
    sums = np.zeros((len(uniques), values.shape[1]))
    np.add.at(sums, number, values)
    return sums, np.bincount(number).astype(np.float64)


def measure_array(results: pd.DataFrame) -> np.ndarray:
    """The measures of results as the experiment wrote them, float64 (C, n, 3)."""
    values = results[list(MEASURES)].to_numpy(np.float64)
    return values.reshape(results["condition"].nunique(), -1, len(MEASURES))


def effects(
    conditions: pd.DataFrame,
    results: pd.DataFrame,
    classes: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """Measures of every condition and class, and their differences from the intact model.

    Args:
        conditions, results: as `engram.knockout.experiment.run` gives them.
        classes: the K class names.
        resamples, confidence, seed: of the bootstrap.

    Returns:
        the columns of `conditions`, `class`, `n`, `groups`, then for every measure its mean over
        the samples, `<measure>_difference` (knocked out minus intact, so a loss is negative) and
        the interval of the difference, `<measure>_low` and `<measure>_high`.
    """
    measures = measure_array(results)  # (C, n, 3)
    first = results.iloc[: measures.shape[1]]
    differences = measures - measures[:1]
    generator = np.random.default_rng(seed)
    tables = []
    for name in classes:
        mine = (first["class"] == name).to_numpy()
        group = first["content_group"].to_numpy()[mine]
        weights = group_weights(len(np.unique(group)), resamples, generator)  # (R, G)
        table = conditions[["condition", *COLUMNS, "cells", "mass"]].copy()
        table["class"], table["n"], table["groups"] = name, int(mine.sum()), weights.shape[1]
        ends = np.concatenate(
            [
                _ends(differences[s : s + _CHUNK, mine], group, weights, confidence)
                for s in range(0, len(measures), _CHUNK)
            ]
        )
        for position, measure in enumerate(MEASURES):
            table[measure] = measures[:, mine, position].mean(axis=1)
            table[f"{measure}_difference"] = differences[:, mine, position].mean(axis=1)
            table[f"{measure}_low"], table[f"{measure}_high"] = ends[:, position].T
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _ends(
    differences: np.ndarray, group: np.ndarray, weights: np.ndarray, confidence: float
) -> np.ndarray:
    """Interval ends of mean differences (C, n, 3) -> (C, 3, 2)."""
    count, n, measures = differences.shape
    sums, sizes = group_sums(differences.transpose(1, 0, 2).reshape(n, -1), group)
    drawn = (weights @ sums) / (weights @ sizes)[:, None]  # (R, C·3)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return np.stack([low, high], axis=-1).reshape(count, measures, 2)

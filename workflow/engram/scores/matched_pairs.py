"""Matched test samples: pairs of samples of two classes that are equally predictable.

Several columns are matched through one number, the log-odds of the class by a logistic regression
on these columns (propensity scores: Rosenbaum and Rubin, 1983) that is fitted on the training split
and never saw the tested samples. Pairs are at most a caliper apart on it, and equal in what must be
equal, such as the kind of text. Of these, the pairs are taken that are closest in the columns
themselves, by Mahalanobis distance (Rosenbaum and Rubin, 1985)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from engram.cnn.probes import choose_strength

_TOO_FAR = 1e6
"""Cost of a pair that is farther apart than the caliper; distances are below 100."""


def predictability_logits(features: np.ndarray, label: np.ndarray, split: np.ndarray) -> np.ndarray:
    """Return the logits of the two classes by a logistic regression on features, (n, 2).

    It is fitted on the training split; the validation split chooses its penalty.

    Args:
        features: (n, C), finite.
        label: 0 or 1, (n,).
        split: train, validation or test, (n,).
    """
    rows = [np.flatnonzero(split == name) for name in ("train", "validation")]
    return choose_strength(features, label, 2, *rows).probe.logits(features).astype(np.float64)


def matched_pairs(
    label: np.ndarray,
    value: np.ndarray,
    columns: np.ndarray,
    stratum: np.ndarray,
    caliper: float,
) -> np.ndarray:
    """Return which samples are in pairs, bool (n,): as many pairs as fit, the closest ones.

    Args:
        label: 0 or 1, (n,).
        value: what must be close, (n,).
        columns: what decides between pairs that are close enough, (n, C).
        stratum: what the samples of a pair have in common, (n,) integers.
        caliper: largest distance of a pair, in standard deviations of `value` within classes.
    """
    chosen = np.zeros(len(label), bool)
    sizes = [(label == k).sum() for k in (0, 1)]
    if min(sizes) == 0:
        return chosen
    spread = np.sqrt(np.mean([value[label == k].var() for k in (0, 1)])) or 1.0
    near = _whitened(columns, label)
    for name in np.unique(stratum):
        first, second = (np.flatnonzero((stratum == name) & (label == k)) for k in (0, 1))
        allowed = np.abs(value[first, None] - value[None, second]) <= caliper * spread
        cost = np.where(allowed, cdist(near[first], near[second]), _TOO_FAR)
        left, right = linear_sum_assignment(cost)
        kept = allowed[left, right]
        chosen[first[left[kept]]] = chosen[second[right[kept]]] = True
    return chosen


def _whitened(columns: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return columns whose Euclidean distances are the Mahalanobis distances within classes."""
    centered = np.array(columns, np.float64)
    for k in (0, 1):
        centered[label == k] -= centered[label == k].mean(axis=0)
    covariance = centered.T @ centered / len(centered)
    values, vectors = np.linalg.eigh(covariance)
    scale = np.where(values > 1e-12 * max(values.max(), 1e-300), values, np.inf)
    return columns @ (vectors / np.sqrt(scale))


def imbalance(label: np.ndarray, values: pd.DataFrame, chosen: np.ndarray) -> pd.Series:
    """Return how far apart the classes are in every column among chosen samples: the difference of
    their means in standard deviations within classes of all samples.

    Args:
        label: 0 or 1, (n,).
        values: n rows.
        chosen: bool (n,).

    Returns:
        by column, 0 or more; NaN where a class has no chosen sample.
    """
    table = values.to_numpy(np.float64)
    parts = [table[chosen & (label == k)] for k in (0, 1)]
    if min(map(len, parts)) == 0:
        return pd.Series(np.nan, index=values.columns)
    spread = np.sqrt(np.mean([table[label == k].var(axis=0) for k in (0, 1)], axis=0))
    distance = np.abs(parts[0].mean(axis=0) - parts[1].mean(axis=0))
    return pd.Series(distance / np.where(spread > 0, spread, 1), index=values.columns)


def strata(labels: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Return a number for every combination of values of some columns, (n,) int64."""
    if not columns:
        return np.zeros(len(labels), np.int64)
    return labels.groupby(list(columns), dropna=False, sort=False).ngroup().to_numpy()

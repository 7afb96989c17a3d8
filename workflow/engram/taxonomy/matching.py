"""Matched classes: samples that are alike in what could explain a difference between classes.

Candidates are sorted into cells by quantiles of the matched columns, and every cell gives the same
number of samples to every class (coarsened exact matching: Iacus, King and Porro, Causal inference
without balance checking, 2012). Within a cell a class gives its lowest permanent random numbers, as
it does without matching. What the classes do not share is left out: the samples then say something
about the text that the classes have in common, and about nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def cells(codes: np.ndarray, values: np.ndarray, bins: int) -> np.ndarray:
    """Return the cell of every candidate, (n,) int64; −1 of those without a class or a value.

    Args:
        codes: class of each candidate, −1 for none, (n,).
        values: of the matched columns, (n, C).
        bins: per column; their edges are quantiles in which every class weighs the same.
    """
    cell = np.where((codes >= 0) & np.isfinite(values).all(axis=1), 0, -1).astype(np.int64)
    used = cell >= 0
    sizes = np.bincount(codes[used], minlength=1)
    weight = 1 / sizes[codes[used]]
    for column in values[used].T:
        order = np.argsort(column, kind="stable")
        below = np.cumsum(weight[order]) - weight[order]
        edges = column[order][
            np.searchsorted(below, np.arange(1, bins) / bins * below[-1], side="left")
        ]
        # Equal values fall into one bin.
        cell[used] = cell[used] * bins + np.searchsorted(edges, column, side="right")
    return cell


def matched(
    codes: np.ndarray, cell: np.ndarray, priority: np.ndarray, classes: int, per_class: int
) -> np.ndarray:
    """Return which candidates are drawn, bool (n,): as many of every class in every cell.

    Args:
        codes: class of each candidate, −1 for none, (n,).
        cell: as `cells` gives them, (n,).
        priority: permanent random numbers; the lowest of a class and cell are drawn, (n,).
        classes: K.
        per_class: most samples of a class; the cells shrink in proportion.
    """
    drawn = np.zeros(len(codes), bool)
    used = np.flatnonzero((codes >= 0) & (cell >= 0))
    numbers, place = np.unique(cell[used], return_inverse=True)
    counts = np.zeros((len(numbers), classes), np.int64)
    np.add.at(counts, (place, codes[used]), 1)
    common = counts.min(axis=1)  # (cells,)
    take = _shrunk(common, per_class)
    group = place * classes + codes[used]
    order = np.lexsort((priority[used], group))
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    drawn[used[order]] = rank < take[place[order]]
    return drawn


def balance(
    codes: np.ndarray, drawn: np.ndarray, values: pd.DataFrame, names: Sequence[str]
) -> pd.DataFrame:
    """Return how far the classes differ in the matched columns, before and after.

    Args:
        codes: class of each candidate, −1 for none, (n,).
        drawn: those that are drawn, bool (n,).
        values: the matched columns, n rows.
        names: of the classes.

    Returns:
        column, class, candidates, drawn (numbers), mean_candidates, mean_drawn; difference_before
        and difference_after: the class's mean minus the mean over classes, in standard deviations
        of the candidates within classes.
    """
    rows = []
    for column in values:
        value = values[column].to_numpy(float)
        known = np.isfinite(value)
        members = [(codes == code) & known for code in range(len(names))]
        spread = np.sqrt(np.mean([value[own].var() for own in members])) or 1.0
        before = [value[own].mean() for own in members]
        after = [value[own & drawn].mean() if (own & drawn).any() else np.nan for own in members]
        for code, name in enumerate(names):
            rows.append(
                {
                    "column": column,
                    "class": name,
                    "candidates": int((codes == code).sum()),
                    "drawn": int((members[code] & drawn).sum()),
                    "mean_candidates": before[code],
                    "mean_drawn": after[code],
                    "difference_before": (before[code] - np.mean(before)) / spread,
                    "difference_after": (after[code] - np.mean(after)) / spread,
                }
            )
    return pd.DataFrame(rows)


def _shrunk(common: np.ndarray, most: int) -> np.ndarray:
    """Return numbers in proportion to `common` that sum to `most` at most; the largest remainders
    get what is left over.
    """
    total = int(common.sum())
    if total <= most:
        return common
    exact = common * (most / total)
    take = np.floor(exact).astype(np.int64)
    rest = np.argsort(-(exact - take), kind="stable")[: most - int(take.sum())]
    take[rest] += 1
    return take

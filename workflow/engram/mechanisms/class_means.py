"""Means of a measure per class, with intervals over content groups."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from engram.scores.bootstrap import draw_in_parts, percentile_ends


class ClassMean(NamedTuple):
    """X means over the sequences of a class, (X,) each."""

    name: Hashable
    """The class."""
    n: int
    """Sequences."""
    groups: int
    """Content groups, which are drawn."""
    mean: np.ndarray
    """Over the sequences whose value is not NaN; NaN where none is left."""
    low: np.ndarray
    """Lower end of the percentile interval."""
    high: np.ndarray


def class_means(
    values: np.ndarray,
    label: np.ndarray,
    group: np.ndarray,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Iterator[ClassMean]:
    """Yield the means of every class, in the order in which classes first occur.

    Args:
        values: (n, X); NaN is left out of a mean.
        label: class of each sequence, (n,).
        group: content group of each sequence, (n,): equal text is one unit.
        resamples: bootstrap draws of content groups, per class.
        confidence: nominal coverage of the intervals.
        seed: of the draws.
    """
    numbers, names = pd.factorize(label)
    generator = np.random.default_rng(seed)
    for number, name in enumerate(names):
        chosen = numbers == number
        of_class = values[chosen].astype(np.float64)
        known = ~np.isnan(of_class)
        unit, units = pd.factorize(group[chosen])
        sums, sizes = (np.zeros((len(units), of_class.shape[1])) for _ in range(2))
        np.add.at(sums, unit, np.where(known, of_class, 0))
        np.add.at(sizes, unit, known)
        draws = np.empty((resamples, of_class.shape[1]))
        with np.errstate(invalid="ignore"):  # 0 / 0 where no sequence has a value
            for part, counts in draw_in_parts(generator, len(units), resamples):
                draws[part] = (counts @ sums) / (counts @ sizes)
            mean = sums.sum(0) / sizes.sum(0)
        low, high = np.full((2, len(mean)), np.nan)
        for column in np.flatnonzero(known.any(0)):
            # A draw may miss all sequences that have a value.
            with_value = draws[~np.isnan(draws[:, column]), column]
            low[column], high[column] = percentile_ends(with_value, confidence)
        yield ClassMean(name, int(chosen.sum()), len(units), mean, low, high)


def class_table(
    keys: Mapping[str, tuple[Any, ...]],
    values: Mapping[str, np.ndarray],
    label: np.ndarray,
    group: np.ndarray,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """Return a row per class and combination of keys, with intervals over content groups.

    Args:
        keys: names and values of the axes of the measures after the first.
        values: measures, (n, *axes) each; NaN is left out of a mean.
        label: class of each sequence, (n,).
        group: content group of each sequence, (n,).
        resamples: bootstrap draws.
        confidence: nominal coverage.
        seed: of the draws.

    Returns:
        class, n, groups, the keys; and of every value its mean, `<value>_low` and `<value>_high`.
    """
    combinations = pd.DataFrame([*product(*keys.values())], columns=[*keys])
    stacked = np.concatenate([value.reshape(len(value), -1) for value in values.values()], 1)
    order = [f"{name}{ending}" for name in values for ending in ("", "_low", "_high")]
    tables = []
    for result in class_means(
        stacked, label, group, resamples=resamples, confidence=confidence, seed=seed
    ):
        table = combinations.copy()
        for position, name in enumerate(("class", "n", "groups")):
            table.insert(position, name, [result[position]] * len(table))
        for ending, ends in (("", result.mean), ("_low", result.low), ("_high", result.high)):
            for name, column in zip(values, np.split(ends, len(values)), strict=True):
                table[f"{name}{ending}"] = column
        tables.append(table[["class", "n", "groups", *keys, *order]])
    return pd.concat(tables, ignore_index=True)

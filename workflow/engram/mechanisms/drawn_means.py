"""Means over the texts of a group with their bootstrap, and the difference between two groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engram.scores.bootstrap import (
    Interval,
    cluster_means,
    cluster_sums,
    draw_counts,
    percentile_interval,
)


@dataclass(frozen=True)
class DrawnMeans:
    """X means over a group of texts, or the differences between those of two groups."""

    mean: np.ndarray
    """(X,); NaN where the group has no text."""
    draws: np.ndarray
    """Bootstrap over content groups, (R, X)."""

    def __sub__(self, other: DrawnMeans) -> DrawnMeans:
        """Return the differences from a group that was drawn independently."""
        return DrawnMeans(self.mean - other.mean, self.draws - other.draws)

    def interval(self, position: int, confidence: float) -> Interval:
        """Return one of the means with its percentile interval."""
        return percentile_interval(self.mean[position], self.draws[:, position], confidence)


def drawn_means(
    values: np.ndarray, group: np.ndarray, resamples: int, generator: np.random.Generator
) -> DrawnMeans:
    """Return the means of values (n, X) and their bootstrap over content groups.

    Args:
        values: a row per text, (n, X); n may be 0.
        group: content group of each text, (n,).
        resamples: bootstrap draws R.
        generator: source of the draws; one that two groups share draws them independently.
    """
    if not len(values):
        empty = np.full((1 + resamples, values.shape[1]), np.nan)
        return DrawnMeans(empty[0], empty[1:])
    sums, sizes = cluster_sums(values, group)
    counts = draw_counts(generator, len(sizes), resamples)
    return DrawnMeans(values.mean(0), cluster_means(counts, sums, sizes))

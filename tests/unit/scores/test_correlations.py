"""Spearman's correlation with an interval: scipy's value, and coverage of a known correlation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from engram.scores.correlations import spearman_interval


def test_the_value_is_scipys_with_ties_and_gaps() -> None:
    generator = np.random.default_rng(1)
    first, second = generator.integers(0, 8, (2, 40)).astype(float)
    first[3], second[7] = np.nan, np.inf
    both = np.isfinite(first) & np.isfinite(second)
    expected = scipy.stats.spearmanr(first[both], second[both]).statistic
    result = spearman_interval(first, second, 0.95)
    assert result.value == pytest.approx(expected)
    assert result.low < result.value < result.high


def test_the_interval_covers_the_true_correlation() -> None:
    """Normal pairs with Pearson correlation .6 have the rank correlation 6/π · asin(.3)."""
    generator, truth, hits = np.random.default_rng(2), 6 / np.pi * np.arcsin(0.3), 0
    for _ in range(1000):
        first = generator.normal(size=40)
        second = 0.6 * first + 0.8 * generator.normal(size=40)
        low, high = spearman_interval(first, second, 0.95)[1:]
        hits += low <= truth <= high
    assert 930 <= hits <= 975


def test_little_data_has_no_interval() -> None:
    few, one_value = np.arange(9.0), np.ones(20)
    assert spearman_interval(few, few[::-1], 0.95)[0] == -1
    assert np.isnan(spearman_interval(few, few**2, 0.95)[1:]).all()
    assert np.isnan(spearman_interval(one_value, np.arange(20.0), 0.95)).all()

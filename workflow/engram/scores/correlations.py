"""Rank correlations with intervals."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from engram.scores.bootstrap import Interval

FEWEST = 10
"""Samples below which a rank correlation gets no interval."""


def spearman_interval(first: np.ndarray, second: np.ndarray, confidence: float) -> Interval:
    """Return Spearman's rank correlation, −1 … 1, with an interval on Fisher's scale.

    The standard error is √((1 + ρ²/2) / (n − 3)) there (Bonett and Wright, Psychometrika 65, 2000).

    Args:
        first, second: values (n,); ties share their mean rank, and pairs with a NaN are left out.
        confidence: nominal coverage.

    Returns:
        NaN where a side has fewer than two different values; NaN as ends for fewer than 10 samples,
        or where all ranks agree.
    """
    both = np.isfinite(first) & np.isfinite(second)
    ranks = [rankdata(values[both]) for values in (first, second)]
    if both.sum() < 2 or any(np.ptp(own) == 0 for own in ranks):
        return Interval(np.nan, np.nan, np.nan)
    value = float(np.clip(np.corrcoef(*ranks)[0, 1], -1, 1))
    if both.sum() < FEWEST or abs(value) > 1 - 1e-12:
        return Interval(value, np.nan, np.nan)
    error = np.sqrt((1 + value**2 / 2) / (both.sum() - 3))
    half = float(ndtri((1 + confidence) / 2)) * error
    center = np.arctanh(value)
    return Interval(value, float(np.tanh(center - half)), float(np.tanh(center + half)))

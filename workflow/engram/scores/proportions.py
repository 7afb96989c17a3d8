"""Two shares compared, and many comparisons at once."""

from __future__ import annotations

import numpy as np
from scipy.stats import fisher_exact

from engram.scores.bootstrap import Interval, wilson_interval


def share_difference(
    hits: tuple[int, int], trials: tuple[int, int], confidence: float
) -> tuple[Interval, float]:
    """Return the difference of two independent shares, the first less the second, and a p-value.

    The interval is Newcombe's, from the Wilson intervals of both (Statistics in Medicine 17, 1998,
    method 10); the p-value is that of Fisher's exact test, two-sided.

    Args:
        hits: of each side.
        trials: of each side, at least one.
        confidence: nominal coverage.
    """
    first, second = (
        wilson_interval(hit / count, count, confidence)
        for hit, count in zip(hits, trials, strict=True)
    )
    value = first.value - second.value
    low = value - np.hypot(first.value - first.low, second.high - second.value)
    high = value + np.hypot(first.high - first.value, second.value - second.low)
    table = [[hit, count - hit] for hit, count in zip(hits, trials, strict=True)]
    return Interval(value, float(low), float(high)), float(fisher_exact(table).pvalue)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return p-values corrected for their number, so that the chance of a single false finding
    among all is bounded (Holm, Scandinavian Journal of Statistics 6, 1979).

    Args:
        p_values: (k,), without NaN.
    """
    order = np.argsort(p_values, kind="stable")
    scaled = np.asarray(p_values, np.float64)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return corrected

"""Equivalence: whether two scores differ by less than a bound, from paired resamples.

Two one-sided tests (TOST; Schuirmann, 1987): the difference is at least −bound away, and at most
+bound away, each at level 1 − confidence. Both reject exactly if the interval of twice that level,
90 % for a confidence of 95 %, lies within ±bound. A wide interval around 0 shows nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from engram.scores.bootstrap import Interval

Verdict = Literal["equivalent", "different", "inconclusive"]


@dataclass(frozen=True)
class Equivalence:
    """A difference of two scores, and what is known of its size."""

    difference: Interval
    """With its interval at the confidence."""
    narrow: Interval
    """With the interval that decides on equivalence, of 2 · confidence − 1."""
    p_equivalent: float
    """The larger p of the two one-sided tests: small where a difference of the bound or more is
    excluded."""
    verdict: Verdict
    """`equivalent`: |difference| < bound, at the confidence, even where the difference is not 0;
    else `different`: its interval excludes 0; else `inconclusive`."""


def equivalence(value: float, draws: np.ndarray, bound: float, confidence: float) -> Equivalence:
    """Test whether a difference is smaller than a bound in either direction.

    Args:
        value: the difference of two scores.
        draws: its paired resamples, (R,). Where none differs from another, they show no noise,
            and the verdict is `inconclusive`.
        bound: the largest difference that counts as none; positive.
        confidence: 1 − the level of each test.
    """
    noise = draws - value
    narrow = _basic(value, noise, 2 * confidence - 1)
    difference = _basic(value, noise, confidence)
    # If the truth were ±bound, the noise would be at least as large as this.
    below, above = noise >= value + bound, noise <= value - bound
    p = (1 + max(below.sum(), above.sum())) / (1 + len(noise))
    verdict: Verdict = "inconclusive"
    if np.ptp(draws) > 0 and -bound < narrow.low and narrow.high < bound:
        verdict = "equivalent"
    elif np.ptp(draws) > 0 and (difference.low > 0 or difference.high < 0):
        verdict = "different"
    return Equivalence(difference, narrow, float(p), verdict)


def _basic(value: float, noise: np.ndarray, confidence: float) -> Interval:
    """Return the basic interval of a value by the noise of its draws."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(noise, [tail, 1 - tail])
    return Interval(float(value), float(value - high), float(value - low))

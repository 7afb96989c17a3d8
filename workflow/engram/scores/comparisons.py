"""Which scores really differ: paired differences with simultaneous intervals, and the ranks that
they allow.

Every difference is studentised by the standard deviation of its own resamples. The largest of all
|t| over the family of comparisons gives one critical value for it (single-step max-t; Westfall and
Young, Resampling-Based Multiple Testing, 1993): with the chosen confidence *all* intervals of the
family hold at once, and a pair whose adjusted p lies below 1 - confidence is really different.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engram.scores.resampling import Key, Resampled


@dataclass(frozen=True)
class Difference:
    """A difference of two scores."""

    value: float
    """First minus second, as fractions."""
    low: float
    """Lower end of the interval of this difference alone."""
    high: float
    simultaneous_low: float
    """Lower end of the interval that holds together with those of the whole family."""
    simultaneous_high: float
    p: float
    """Two-sided, of this difference alone."""
    p_adjusted: float
    """Chance that the largest of the family's |t| would be as large, were nothing different."""

    def columns(self) -> dict[str, object]:
        """As columns of a table."""
        return {
            "difference": self.value,
            "difference_low": self.low,
            "difference_high": self.high,
            "simultaneous_low": self.simultaneous_low,
            "simultaneous_high": self.simultaneous_high,
            "p": self.p,
            "p_adjusted": self.p_adjusted,
        }


def differences(
    scores: Mapping[Key, Resampled], pairs: Sequence[tuple[Key, Key]], confidence: float = 0.95
) -> list[Difference]:
    """The differences of a family of pairs, first minus second.

    Resamples estimate the bias of a difference of minima as well as its spread; the intervals are
    taken about the difference without that bias.

    Args:
        scores: resampled together.
        pairs: keys to compare; together they are the family.
        confidence: of the single and of the simultaneous intervals.
    """
    if not pairs:
        return []
    values = np.array([scores[a].value - scores[b].value for a, b in pairs])  # (M,)
    draws = np.stack([scores[a].draws - scores[b].draws for a, b in pairs])  # (M, R)
    center = draws.mean(axis=1)
    spread = draws.std(axis=1, ddof=1)
    spread = np.where(spread > 0, spread, np.inf)  # of equal runs: no difference, no spread
    scaled = np.abs(draws - center[:, None]) / spread[:, None]  # (M, R)
    unbiased = 2 * values - center
    t = np.abs(unbiased) / spread
    largest = scaled.max(axis=0)  # (R,)
    count = draws.shape[1]
    width = np.where(np.isinf(spread), 0, spread)
    single, family = (
        np.quantile(scaled, confidence, axis=1) * width,
        np.quantile(largest, confidence) * width,
    )
    p = (1 + (scaled >= t[:, None]).sum(axis=1)) / (1 + count)
    adjusted = (1 + (largest >= t[:, None]).sum(axis=1)) / (1 + count)
    return [
        Difference(*map(float, row))
        for row in zip(
            values,
            np.minimum(values, unbiased - single),
            np.maximum(values, unbiased + single),
            np.minimum(values, unbiased - family),
            np.maximum(values, unbiased + family),
            p,
            adjusted,
            strict=True,
        )
    ]


def ranks(
    scores: Mapping[Key, Resampled], confidence: float = 0.95
) -> dict[Key, tuple[int, int, int]]:
    """Rank of every score (1 is the highest, equal ones share the better rank) and the ranks that
    it takes in resamples.
    """
    keys = list(scores)
    values = np.array([scores[key].value for key in keys])  # (M,)
    draws = np.stack([scores[key].reflected for key in keys])  # (M, R)
    own = 1 + (values[None] > values[:, None]).sum(axis=1)
    taken = np.stack([1 + (draws > row).sum(axis=0) for row in draws])  # (M, R)
    tail = (1 - confidence) / 2
    low = np.quantile(taken, tail, axis=1, method="lower")
    high = np.quantile(taken, 1 - tail, axis=1, method="higher")
    return {
        key: (int(own[i]), min(int(own[i]), int(low[i])), max(int(own[i]), int(high[i])))
        for i, key in enumerate(keys)
    }

"""Which scores really differ: paired differences with simultaneous intervals, and the ranks that
they allow.

With the chosen confidence *all* intervals of a family of differences hold together, and a pair
whose adjusted p is below 1 - confidence is really different
(`engram.scores.bootstrap.studentised_intervals`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engram.scores.bootstrap import percentile_ends, studentised_intervals
from engram.scores.runs import Key, Resampled


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
    """Chance that the largest |t| of the family is as large if nothing is different."""

    def columns(self) -> dict[str, object]:
        """Return the difference as columns of a table."""
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
    """Return the differences of a family of pairs, first minus second.

    Args:
        scores: resampled together.
        pairs: keys to compare; together they are the family.
        confidence: of the single and of the simultaneous intervals.
    """
    if not pairs:
        return []
    values = np.array([scores[a].value - scores[b].value for a, b in pairs])  # (M,)
    draws = np.stack([scores[a].draws - scores[b].draws for a, b in pairs])  # (M, R)
    family = studentised_intervals(values, draws, confidence)
    return [
        Difference(
            float(values[i]),
            float(family.low[i]),
            float(family.high[i]),
            float(family.simultaneous_low[i]),
            float(family.simultaneous_high[i]),
            float(family.p[i]),
            float(family.p_adjusted[i]),
        )
        for i in range(len(pairs))
    ]


def rank_intervals(
    scores: Mapping[Key, Resampled], confidence: float = 0.95
) -> dict[Key, tuple[int, int, int]]:
    """Return the rank of every score (1 is the highest, equal ones share the better rank) with the
    lowest and highest rank that it takes in resamples.

    Args:
        scores: resampled together.
        confidence: nominal coverage.
    """
    keys = list(scores)
    values = np.array([scores[key].value for key in keys])  # (M,)
    draws = np.stack([scores[key].reflected for key in keys])  # (M, R)
    own = 1 + (values[None] > values[:, None]).sum(axis=1)  # (M,)
    taken = np.stack([1 + (draws > row).sum(axis=0) for row in draws], axis=1)  # (R, M)
    low, high = percentile_ends(taken, confidence, discrete=True)
    ends = zip(own, np.minimum(own, low), np.maximum(own, high), strict=True)
    return {
        key: (int(rank), int(first), int(last))
        for key, (rank, first, last) in zip(keys, ends, strict=True)
    }

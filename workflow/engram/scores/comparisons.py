"""Which scores really differ: paired differences with simultaneous intervals, and the ranks that
they allow.

With the chosen confidence *all* intervals of a family of differences hold together, and a pair
whose adjusted p is below 1 - confidence is really different
(`engram.scores.bootstrap.studentised_intervals`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engram.scores.bootstrap import studentised_intervals
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
    lowest and highest rank that it can have.

    The intervals hold together: with the chosen confidence all true ranks lie in theirs. They count
    the scores that are better, and those that are worse, by the simultaneous intervals of all
    differences (Mogstad, Romano, Shaikh and Wilhelm, Inference for Ranks, 2024).

    Args:
        scores: resampled together.
        confidence: of all intervals together.
    """
    keys = list(scores)
    values = np.array([scores[key].value for key in keys])  # (M,)
    own = 1 + (values[None] > values[:, None]).sum(axis=1)  # (M,)
    better, worse = dict.fromkeys(keys, 0), dict.fromkeys(keys, 0)
    pairs = list(itertools.combinations(keys, 2))
    for (a, b), difference in zip(pairs, differences(scores, pairs, confidence), strict=True):
        if difference.simultaneous_low > 0:
            worse[a], better[b] = worse[a] + 1, better[b] + 1
        elif difference.simultaneous_high < 0:
            better[a], worse[b] = better[a] + 1, worse[b] + 1
    return {
        key: (int(rank), min(int(rank), 1 + better[key]), max(int(rank), len(keys) - worse[key]))
        for key, rank in zip(keys, own, strict=True)
    }

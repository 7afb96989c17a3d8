"""Which windows a model reads in full where most of them fail at their first suffix tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engram.io.hashing import uniform


@dataclass(frozen=True)
class EarlyExit:
    """Which windows are read no further than their first suffix tokens."""

    tokens: int
    """Suffix tokens that are scored first."""
    scored: float
    """Share of all windows, drawn at random, that is scored in full in any case."""
    seed: int
    """Of that draw."""

    def draw(self, sequence_ids: np.ndarray) -> np.ndarray:
        """Return which windows are of that share, bool (n,)."""
        return uniform(sequence_ids, self.seed, "early exit") < self.scored

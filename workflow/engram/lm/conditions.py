"""What a knock-out takes away, and what is measured then; nothing here needs a language model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OPERATIONS = ("remove", "mean")
MEASURES = ("extracted", "matched_fraction", "suffix_log_prob")
"""What is measured of the suffix, defined in `engram.lm.attention.Extraction`."""


@dataclass(frozen=True)
class Condition:
    """What is taken away at once; at most one of `cells` and `heads` is given, and neither is the
    intact model.
    """

    operation: str = "remove"
    """One of `OPERATIONS`."""
    cells: np.ndarray | None = None
    """bool (L, P), packed; P of the model's opening and the window."""
    heads: np.ndarray | None = None
    """bool (L, H)."""

    @property
    def first(self) -> int | None:
        """The lowest layer that is touched, from 0; None for the intact model."""
        for what in (self.cells, self.heads):
            if what is not None and what.any():
                return int(what.any(axis=1).argmax())
        return None

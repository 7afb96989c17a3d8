"""What a knock-out takes away, and what is measured then; nothing here needs a language model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engram.io.errors import EngramError
from engram.io.spans import Spans

OPERATIONS = ("remove", "mean")
"""What can be done to cells, heads, feed-forward blocks and their neurons."""
HEAD_OPERATIONS = (*OPERATIONS, "layer_mean")
"""What can be done to heads."""
MEASURES = ("extracted", "matched_fraction", "suffix_log_prob")
"""What is measured of the suffix, defined in `engram.lm.attention.Extraction`."""


@dataclass(frozen=True)
class Condition:
    """What is taken away at once; at most one of `cells`, `heads`, `blocks` and `neurons` is given,
    and none is the intact model.
    """

    operation: str = "remove"
    """One of `OPERATIONS`, or of `HEAD_OPERATIONS` for heads."""
    cells: np.ndarray | None = None
    """bool (L, P), packed; P of the model's opening and the window."""
    heads: np.ndarray | None = None
    """bool (L, H)."""
    blocks: np.ndarray | None = None
    """Feed-forward blocks, bool (L,)."""
    neurons: np.ndarray | None = None
    """Neurons of the feed-forward blocks, bool (L, M)."""
    spans: Spans | None = None
    """The tokens of every row of `cells`, each of which is removed with all its pairs of query and
    key; None: single tokens."""

    def __post_init__(self) -> None:
        """Refuse a mean over a layer's other heads where there are none.

        Raises:
            EngramError: something else than heads, or all heads of a layer, are to become the mean
                of the others.
        """
        if self.operation != "layer_mean":
            return
        for name in ("cells", "blocks", "neurons"):
            if getattr(self, name) is not None:
                raise EngramError(
                    f"operation: layer_mean is for heads; choose remove or mean for {name}"
                )
        if self.heads is not None and (whole := self.heads.all(axis=1)).any():
            raise EngramError(
                f"operation: layer_mean of all {self.heads.shape[1]} heads of layer "
                f"{int(whole.argmax()) + 1}, which leaves no other head; leave one out, or choose "
                f"remove or mean"
            )

    @property
    def first(self) -> int | None:
        """The lowest layer that is touched, from 0; None for the intact model."""
        for what in (self.cells, self.heads, self.blocks, self.neurons):
            if what is not None and what.any():
                return int(what.reshape(len(what), -1).any(axis=1).argmax())
        return None

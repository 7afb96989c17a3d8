"""What a knock-out takes away, and what is measured then; nothing here needs a language model."""

from __future__ import annotations

from collections.abc import Sequence
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


def by_measure(values: np.ndarray) -> dict[str, np.ndarray]:
    """Return measures, (…, 3) in the order of `MEASURES`, by name, (…) each."""
    return dict(zip(MEASURES, np.moveaxis(values, -1, 0), strict=True))


def differences(intact: np.ndarray, damaged: np.ndarray) -> dict[str, np.ndarray]:
    """Return `<measure>_difference`, of a damaged model minus the intact one: negative for a loss.

    Args:
        intact: measures of n sequences, (n, 3).
        damaged: measures under some conditions, (n, …, 3).

    Returns:
        float64 (n, …) each.
    """
    between = (1,) * (damaged.ndim - 2)
    former = intact.astype(np.float64).reshape(len(intact), *between, len(MEASURES))
    return {f"{name}_difference": value for name, value in by_measure(damaged - former).items()}


def check_operation(operation: str, operations: Sequence[str], reference: object) -> None:
    """Check what is to be done to parts of a model.

    Args:
        operation: what was asked for.
        operations: what can be done.
        reference: texts to average over, or None.

    Raises:
        EngramError: an unknown operation, or `mean` without texts to average over.
    """
    if operation not in operations:
        raise EngramError(f"operation: {operation!r}; choose {', '.join(operations)}")
    check_reference(operation, reference)


def check_reference(operation: str, reference: object) -> None:
    """Check that there are texts to average over where the operation is `mean`.

    Raises:
        EngramError: there are none.
    """
    if operation == "mean" and reference is None:
        raise EngramError("reference: none; operation='mean' needs texts to average over")


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

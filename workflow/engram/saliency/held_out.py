"""What the saliency checks are computed on, and how much of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engram.cnn.network import AttentionCNN
from engram.saliency.delta import rows_of_classes

CHECK_GROUPS = 10
"""Groups of samples per class; fewer where a class is smaller."""


@dataclass(frozen=True)
class HeldOut:
    """Held-out samples with their attention."""

    mean: np.ndarray
    """Attention averaged over heads, packed, (n, L, P)."""
    maximum: np.ndarray
    """Attention of the largest head, packed, (n, L, P)."""
    label: np.ndarray
    """Index of the class, (n,)."""
    classes: Sequence[str]
    """The K class names."""

    def groups(self) -> list[list[np.ndarray]]:
        """Return positions per class and group; all classes have the same number of groups."""
        rows = rows_of_classes(self.label, self.classes)
        count = min(CHECK_GROUPS, *map(len, rows))
        return [np.array_split(of_class, count) for of_class in rows]

    def pooled(self, cnn: AttentionCNN) -> np.ndarray:
        """Return the attention that a CNN reads, (n, L, P)."""
        return self.mean if cnn.head_pooling == "mean" else self.maximum

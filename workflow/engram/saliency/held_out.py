"""What the saliency checks are computed on, and how much of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

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
    content_group: np.ndarray | None = None
    """Equal iff the suffixes are, (n,); None: no two are."""

    def text(self) -> np.ndarray:
        """Return the number of every sample's text, (n,)."""
        return np.arange(len(self.label)) if self.content_group is None else self.content_group

    def groups(self) -> list[list[np.ndarray]]:
        """Return positions per class and group; all classes have the same number of groups, and
        equal texts lie in one.
        """
        rows, text = rows_of_classes(self.label, self.classes), self.text()
        numbers = [pd.factorize(text[of_class])[0] for of_class in rows]
        count = min(CHECK_GROUPS, *(int(number.max()) + 1 for number in numbers))
        return [
            [
                of_class[(part[0] <= number) & (number <= part[-1])]
                for part in np.array_split(np.arange(number.max() + 1), count)
            ]
            for of_class, number in zip(rows, numbers, strict=True)
        ]

    def pooled(self, cnn: AttentionCNN) -> np.ndarray:
        """Return the attention that a CNN reads, (n, L, P)."""
        return self.mean if cnn.head_pooling == "mean" else self.maximum

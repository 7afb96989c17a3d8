"""Labels of random samples, and taxonomies and settings to draw them with."""

from __future__ import annotations

import numpy as np
import pandas as pd

from engram.taxonomy.settings import DrawSettings
from engram.taxonomy.taxonomy import Taxonomy

NEW = Taxonomy.parse("Non-Memo, Guess, Others")
OLD = Taxonomy.parse("Non-Memo, Recite[5], Reconstruct, Others")
SETTINGS = DrawSettings(
    per_class=50, minimum=10, train=0.6, validation=0.2, split_by="content_group"
)


def labels(n: int, groups: int | None = None, seed: int = 0) -> pd.DataFrame:
    """Random labels of `n` samples; `groups` content groups, each its own by default."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "sequence_id": random.permutation(10 * n)[:n],
            "content_group": random.integers(groups, size=n) if groups else np.arange(n),
            "memorization_score": random.choice([0.5, 1.0], p=[0.3, 0.7], size=n),
            "sequence_duplicates": random.choice([1, 6], size=n),
            "is_repeating": random.random(n) < 0.2,
            "is_incrementing": random.random(n) < 0.2,
            "rouge_l": random.choice([0.2, 0.6], p=[0.8, 0.2], size=n),
            "rouge_3": random.choice([0.2, 0.6], p=[0.8, 0.2], size=n),
        }
    )

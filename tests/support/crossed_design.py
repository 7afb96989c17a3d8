"""Designs of crossed exposures without text or models."""

from __future__ import annotations

import numpy as np
import pandas as pd

from engram.nursery.arms import FIRST, NEITHER, SECOND


def made_design(
    clusters: int, seed: int, share: float = 0.5, strata: tuple[str, ...] = ("low", "templates")
) -> pd.DataFrame:
    """Clusters of one to four windows; `share` of those of one arm are model 1's."""
    random = np.random.default_rng(seed)
    number = np.repeat(np.arange(clusters), random.integers(1, 5, clusters))
    stratum = np.array(strata, object)[np.arange(clusters) % len(strata)]
    split = np.array(["train", "train", "validation", "test"], object)[
        np.arange(clusters) // len(strata) % 4
    ]
    arm = np.full(clusters, SECOND)
    for name in strata:
        for part in ("train", "validation", "test"):
            own = random.permutation(np.flatnonzero((stratum == name) & (split == part)))
            arm[own[: round(share * len(own))]] = FIRST
            arm[own[-(len(own) // 10) :] if len(own) >= 10 else own[:0]] = NEITHER
    return pd.DataFrame(
        {
            "sequence_id": np.arange(len(number)),
            "cluster": number,
            "stratum": stratum[number],
            "block": stratum[number],
            "split": split[number],
            "dose": np.where(arm == NEITHER, 0, 40)[number],
            "arm": arm[number],
        }
    )


def signs(design: pd.DataFrame) -> np.ndarray:
    """+1 for windows that model 1 alone is shown, -1 for model 2, else 0."""
    return np.select([design["arm"] == FIRST, design["arm"] == SECOND], [1, -1], 0)

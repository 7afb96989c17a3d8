"""Rank correlation of drawn maps.

The cells of a map are ranked once per draw and kept, so that comparing a map with many others costs
one product each. Draws are weights of CNNs and groups of samples
(`engram.scores.bootstrap.pigeonhole_shares`).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata


def standard_ranks(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the ranks of the cells of every drawn map and layer, with mean 0 and mean square 1.

    Equal cells share their mean rank; a flat layer is 0.

    Args:
        maps: (C, G, L, P).
        weights: (R, C, G).

    Returns:
        float32 (R, L, P).
    """
    flat = maps.reshape(maps.shape[0] * maps.shape[1], -1)
    weights = weights.reshape(len(weights), -1).astype(np.float32)
    drawn = (weights @ flat).reshape(-1, maps.shape[-1])  # (R·L, P)
    ranks = rankdata(drawn, axis=1).astype(drawn.dtype)
    ranks -= ranks.mean(axis=1, keepdims=True)
    size = np.sqrt((ranks**2).mean(axis=1, keepdims=True))
    return (ranks / np.where(size > 0, size, 1)).reshape(len(weights), *maps.shape[2:])


def rank_correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation of maps of standard ranks, (…, L, P) → (…, L).

    It is 0 where one of the two is flat.
    """
    return np.einsum("...p,...p->...", first, second) / first.shape[-1]

"""Rank correlation of maps with bootstrap intervals over CNNs and groups of samples.

A map is drawn anew by drawing its CNNs and groups with replacement, each independently (Owen, The
pigeonhole bootstrap, 2007); its cells are ranked once per draw and kept, so that comparisons with
many others cost a product each.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np


def draws(cnns: int, groups: int, resamples: int, seed: int) -> np.ndarray:
    """Weights of CNNs and groups, (1 + R, C, G); each sums to 1. The first are equal: the estimate
    itself.
    """
    random = np.random.default_rng(seed)
    of_cnns = (
        np.concatenate(
            [np.ones((1, cnns)), random.multinomial(cnns, np.full(cnns, 1 / cnns), resamples)]
        )
        / cnns
    )
    of_groups = (
        np.concatenate(
            [
                np.ones((1, groups)),
                random.multinomial(groups, np.full(groups, 1 / groups), resamples),
            ]
        )
        / groups
    )
    return of_cnns[:, :, None] * of_groups[:, None, :]


def standard_ranks(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Ranks of the cells of every drawn map, with mean 0 and mean square 1; equal cells share their
    mean rank; 0 for a flat map.

    Args:
        maps: (C, G, L, P).
        weights: (R, C, G).

    Returns:
        float32 (R, L, P).
    """
    flat = maps.reshape(maps.shape[0] * maps.shape[1], -1)
    drawn = (weights.reshape(len(weights), -1).astype(np.float32) @ flat).reshape(
        -1, maps.shape[-1]
    )  # (R·L, P)
    ranks = np.empty_like(drawn)
    for row, values in enumerate(drawn):
        _, place, count = np.unique(values, return_inverse=True, return_counts=True)
        ranks[row] = (np.cumsum(count) - (count - 1) / 2)[place]
    ranks -= ranks.mean(axis=1, keepdims=True)
    size = np.sqrt((ranks**2).mean(axis=1, keepdims=True))
    return (ranks / np.where(size > 0, size, 1)).reshape(len(weights), *maps.shape[2:])


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of two maps of standard ranks, (R, L, P) → (R, L); 0 where one is
    flat.
    """
    return np.einsum("rlp,rlp->rl", first, second) / first.shape[-1]


def interval(values: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """The estimate, which stands first, and the percentiles of the draws."""
    low, high = np.quantile(values[1:], [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(values[0]), float(low), float(high)


def normal_interval(values: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """The estimate, which stands first, and an interval around it from the standard deviation of
    the draws.

    For correlations of mean maps: a draw holds some groups twice and others never, so that its maps
    are noisier and its correlations lower than the estimate; their percentiles would lie beside it.
    It also makes do with fewer draws.
    """
    half = NormalDist().inv_cdf((1 + confidence) / 2) * float(values[1:].std(ddof=1))
    return float(values[0]), max(-1.0, float(values[0]) - half), min(1.0, float(values[0]) + half)

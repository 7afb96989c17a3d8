"""How well a paired scorer names the exposed model: accuracy per arm and their mean, AUROC."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata


class ArmAccuracies(NamedTuple):
    """Accuracy where model 1 is exposed, where model 2 is, and their mean; (R,) each."""

    first: np.ndarray
    second: np.ndarray
    mean: np.ndarray


def hits(scores: np.ndarray, arms: np.ndarray) -> np.ndarray:
    """Return 1 where a score names the exposed model, 0 where it names the other, and ½ for a tie.

    Args:
        scores: (r, R), above 0 for model 1.
        arms: +1 or -1, (r, R).
    """
    return 0.5 + 0.5 * np.sign(scores) * arms


def arm_accuracies(scores: np.ndarray, arms: np.ndarray, stratum: np.ndarray) -> ArmAccuracies:
    """Return accuracies over both arms of every stratum, each arm and stratum in equal parts.

    A stratum counts by its number of windows; within it both arms count the same. A global
    fingerprint of a model thus gives .50, whatever the numbers of windows of both arms.

    Args:
        scores: (r, R).
        arms: +1 or -1, (r, R).
        stratum: (r,).
    """
    weights = arm_weights(arms, stratum)
    right = hits(scores, arms) * weights
    with np.errstate(invalid="ignore"):
        first, second = (
            np.where(part, right, 0).sum(axis=0) / np.where(part, weights, 0).sum(axis=0)
            for part in (arms > 0, arms < 0)
        )
    return ArmAccuracies(first, second, (first + second) / 2)


def arm_weights(arms: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Return weights of windows (r, R): those of both arms of a stratum sum to the same; 0 where a
    stratum has one arm alone.
    """
    weights = np.zeros(arms.shape)
    for name in np.unique(stratum):
        own = stratum == name
        first, second = (arms[own] > 0).sum(axis=0), (arms[own] < 0).sum(axis=0)
        both = (first > 0) & (second > 0)
        share = np.where(arms[own] > 0, 1 / np.maximum(first, 1), 1 / np.maximum(second, 1))
        weights[own] = own.sum() / 2 * share * both
    return weights


def auroc(scores: np.ndarray, arms: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Return the chance that a window of model 1's arm scores above one of model 2's of the same
    stratum, ties ½; (R,).

    Strata count by their numbers of such pairs.

    Args:
        scores: (r, R).
        arms: +1 or -1, (r, R).
        stratum: (r,), or any groups within which windows are compared.
    """
    wins, pairs = np.zeros(arms.shape[1]), np.zeros(arms.shape[1])
    for name in np.unique(stratum):
        own = stratum == name
        ranks = rankdata(scores[own], axis=0)
        first = arms[own] > 0
        n, m = first.sum(axis=0), (~first).sum(axis=0)
        wins += (ranks * first).sum(axis=0) - n * (n + 1) / 2
        pairs += n * m
    return np.divide(wins, pairs, out=np.full(len(wins), np.nan), where=pairs > 0)

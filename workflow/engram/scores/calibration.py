"""Probabilities that are as often right as they say: temperature scaling of logits."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

LOWEST, HIGHEST = 0.02, 50.0
"""Between which temperatures the best one is looked for."""
MEMBERS = ("cnn", "seed")
"""Columns of predictions that name a CNN."""
KEPT = ("content_group", "class", "split")
"""What is known of a sample, whichever CNN predicts it."""


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature T with which softmax(logits / T) fits labels best: the likelihood is
    the highest (Guo et al., ICML 2017).

    The targets are Platt's: 1 is replaced by (n + 1) / (n + K) for a class of n samples, so that T
    stays away from 0 where every label is guessed right.

    Args:
        logits: (n, K), of samples that nothing was learned from.
        labels: class indices, (n,).
    """
    logits, classes = np.asarray(logits, np.float64), logits.shape[1]
    counts = np.bincount(labels, minlength=classes)[labels]  # (n,)
    targets = np.repeat(1 / (counts + classes)[:, None], classes, axis=1)  # (n, K)
    targets[np.arange(len(labels)), labels] = (counts + 1) / (counts + classes)

    def loss(log_temperature: float) -> float:
        return -float((targets * log_softmax(logits / np.exp(log_temperature), axis=1)).sum())

    bounds = (np.log(LOWEST), np.log(HIGHEST))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def ensemble(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return what the mean of all CNNs' logits predicts, a row per sample: sequence_id,
    content_group, class (the true one), split, logits.

    Args:
        predictions: rows of `predictions.parquet` of one input and kind of labels, an epoch each.
    """
    members = [
        part.sort_values("sequence_id", ignore_index=True)
        for _, part in predictions.groupby(list(MEMBERS), sort=True)
    ]
    logits = np.mean([np.stack(part["logits"].tolist()) for part in members], axis=0)  # (n, K)
    return members[0][["sequence_id", *KEPT]].assign(logits=list(logits))

"""What a set of logits says about a classifier: log-loss, AUROC and calibration."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax, softmax
from scipy.stats import rankdata


def class_probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of logits over the last axis, float64 (…, K)."""
    return softmax(np.asarray(logits, dtype=np.float64), axis=-1)


def sample_losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the cross-entropy of each sample, in nats, (n,).

    Args:
        logits: (n, K).
        labels: class indices, (n,).
    """
    log_probabilities = log_softmax(np.asarray(logits, dtype=np.float64), axis=1)  # (n, K)
    return -log_probabilities[np.arange(len(labels)), labels]


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean cross-entropy of softmax(logits), in nats per sample.

    Unlike scikit-learn's, probabilities of 0 are not clipped: the loss of logits (a, 0) for the
    second class is a, however large.

    Args:
        logits: (n, K).
        labels: class indices, (n,).
    """
    return float(sample_losses(logits, labels).mean())


def auroc_one_vs_rest(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of each class against all others, (K,), by its softmax
    probability; ties count half.

    It is the probability that a random member of the class gets a higher probability of it than a
    random other sample. NaN for a class that no sample, or every sample, belongs to.

    Args:
        logits: (n, K).
        labels: class indices, (n,).
    """
    probabilities = class_probabilities(logits)  # (n, K)
    areas = np.full(probabilities.shape[1], np.nan)
    for k, column in enumerate(probabilities.T):
        members = np.asarray(labels) == k
        positives, negatives = int(members.sum()), int((~members).sum())
        if positives and negatives:
            wins = rankdata(column)[members].sum() - positives * (positives + 1) / 2
            areas[k] = wins / (positives * negatives)
    return areas


def weighted_areas(logits: np.ndarray, label: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return `auroc_one_vs_rest` for many sets of sample weights at once, (R, K).

    A set that has no sample of a class, or only such samples, gives that class 0.5, a guess.

    Args:
        logits: (n, K).
        label: class indices, (n,).
        weights: how often each sample counts, (R, n).
    """
    probabilities = class_probabilities(logits)
    areas = np.empty((len(weights), probabilities.shape[1]))
    for k, column in enumerate(probabilities.T):
        order = np.argsort(column, kind="stable")
        first = np.flatnonzero(np.r_[True, np.diff(column[order]) > 0])  # of equal probabilities
        ordered, member = weights[:, order], label[order] == k
        inside = np.add.reduceat(ordered * member, first, axis=1)  # (R, values)
        outside = np.add.reduceat(ordered * ~member, first, axis=1)
        below = np.cumsum(outside, axis=1) - outside / 2
        pairs = inside.sum(axis=1) * outside.sum(axis=1)  # (R,)
        areas[:, k] = np.divide(
            (inside * below).sum(axis=1), pairs, out=np.full(len(weights), 0.5), where=pairs > 0
        )
    return areas


def weighted_hit_rates(
    logits: np.ndarray, label: np.ndarray, weights: np.ndarray, false_rate: float
) -> np.ndarray:
    """Return the greatest share of each class that a threshold on its probability finds while at
    most `false_rate` of the other samples pass it, for many sets of sample weights, (R, K).

    A set that has no sample of a class, or only such samples, gives that class `false_rate`, a
    guess.

    Args:
        logits: (n, K).
        label: class indices, (n,).
        weights: how often each sample counts, (R, n).
        false_rate: 0 … 1.
    """
    probabilities = class_probabilities(logits)
    rates = np.empty((len(weights), probabilities.shape[1]))
    for k, column in enumerate(probabilities.T):
        order = np.argsort(-column, kind="stable")
        last = np.flatnonzero(np.r_[np.diff(column[order]) < 0, True])  # of equal probabilities
        ordered, member = weights[:, order], label[order] == k
        inside = np.cumsum(ordered * member, axis=1)[:, last]  # (R, values), at or above each
        outside = np.cumsum(ordered * ~member, axis=1)[:, last]
        # In whole numbers where weights are, so that a rate of exactly `false_rate` passes.
        passes = outside <= false_rate * outside[:, -1:] * (1 + 1e-12)
        best = np.where(passes, inside, 0).max(axis=1)
        known = (inside[:, -1] > 0) & (outside[:, -1] > 0)
        rates[:, k] = np.divide(
            best, inside[:, -1], out=np.full(len(best), false_rate), where=known
        )
    return rates


def confidence_bins(
    logits: np.ndarray, labels: np.ndarray, bins: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the confidence of each sample, whether it is a hit, and its bin by confidence.

    Confidence is the softmax probability of the predicted class; bin i of B holds those in
    (i / B, (i + 1) / B].

    Args:
        logits: (n, K).
        labels: class indices, (n,).
        bins: B, of equal width.

    Returns:
        Confidence, float64 (n,); hit, bool (n,); bin, int (n,).
    """
    probabilities = class_probabilities(logits)  # (n, K)
    confidence = probabilities.max(axis=1)
    hits = probabilities.argmax(axis=1) == np.asarray(labels)
    return confidence, hits, np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)


def reliability_sums(logits: np.ndarray, labels: np.ndarray, bins: int = 10) -> np.ndarray:
    """Sum up, by confidence, how sure a classifier is and how often it is right.

    Args:
        logits: (n, K).
        labels: class indices, (n,).
        bins: B, see `confidence_bins`.

    Returns:
        Samples, summed confidence and hits of every bin, (B, 3).
    """
    confidence, hits, place = confidence_bins(logits, labels, bins)
    columns = (np.ones(len(hits)), confidence, hits.astype(float))
    return np.stack([np.bincount(place, weights, bins) for weights in columns], axis=1)


def calibration_error(sums: np.ndarray) -> float:
    """Return the expected calibration error of `reliability_sums`: mean over samples of
    |confidence - accuracy| of their bin, a fraction.
    """
    return float(np.abs(sums[:, 1] - sums[:, 2]).sum() / sums[:, 0].sum())

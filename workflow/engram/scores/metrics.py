"""What a confusion matrix or a set of logits says about a classifier: plain functions of counts and
numbers.

Rows of a confusion matrix are true classes, columns predicted ones. A ratio of 0 / 0 (the precision
of a class that is never predicted, for instance) counts as 0.
"""

from __future__ import annotations

import numpy as np

from engram.io.errors import EngramError

CLASS_SCORES = ("min_f1", "mean_f1", "min_precision", "mean_precision", "min_recall", "mean_recall")
"""Names of the scores in `class_scores`, as the paper's tables order them."""


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Counts of true class (row) and predicted class (column), int64 (K, K).

    Args:
        labels: class indices, (n,).
        predictions: class indices, (n,).
        classes: K.
    """
    pairs = np.asarray(labels, dtype=np.int64) * classes + np.asarray(
        predictions, dtype=np.int64
    )  # (n,)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def predicted_classes(logits: np.ndarray) -> np.ndarray:
    """The most likely class of every row, int (n,), of logits (n, K).

    Raises:
        EngramError: a logit is not finite: it would name a class without a reason.
    """
    finite = np.isfinite(logits).all(axis=1)
    if not finite.all():
        raise EngramError(
            f"predictions: {int((~finite).sum())} of {len(finite)} rows have logits that are not "
            f"finite; train the CNNs again"
        )
    return logits.argmax(axis=1)


def per_class_scores(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of each class, as fractions: three arrays (…, K) for confusion
    matrices (…, K, K).
    """
    counts = np.asarray(confusion, dtype=np.float64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)  # (…, K)
    true, predicted = counts.sum(axis=-1), counts.sum(axis=-2)  # (…, K) each
    return _ratio(hits, predicted), _ratio(hits, true), _ratio(2 * hits, true + predicted)


def class_scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """The least and the mean over classes of F1, precision and recall, as fractions (paper, Table
    1).

    Args:
        confusion: counts (…, K, K).

    Returns:
        `CLASS_SCORES` → values (…), so a float for one matrix.
    """
    precision, recall, f1 = per_class_scores(confusion)
    scores: dict[str, np.ndarray] = {}
    for name, values in (("f1", f1), ("precision", precision), ("recall", recall)):
        scores |= {f"min_{name}": values.min(axis=-1), f"mean_{name}": values.mean(axis=-1)}
    return scores


def balanced_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Mean recall over classes, (…) for confusion matrices (…, K, K): 1 / K for a guess that
    ignores its input.
    """
    return per_class_scores(confusion)[1].mean(axis=-1)


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross-entropy of softmax(logits), in nats per sample.

    Args:
        logits: (n, K).
        labels: class indices, (n,).
    """
    shifted = np.asarray(logits, dtype=np.float64)
    shifted = shifted - shifted.max(axis=1, keepdims=True)  # (n, K)
    chosen = shifted[np.arange(len(labels)), labels]  # (n,)
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - chosen))


def auroc_one_vs_rest(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each class against all others, (K,), by its softmax probability;
    ties count half.

    It is the probability that a random member of the class is given a higher probability of it than
    a random other sample. NaN for a class that no sample, or every sample, belongs to.

    Args:
        logits: (n, K).
        labels: class indices, (n,).
    """
    probabilities = softmax(logits)  # (n, K)
    areas = np.full(probabilities.shape[1], np.nan)
    for k, column in enumerate(probabilities.T):
        members = np.asarray(labels) == k
        positives, negatives = int(members.sum()), int((~members).sum())
        if positives and negatives:
            ranks = _mid_ranks(column)
            areas[k] = (ranks[members].sum() - positives * (positives + 1) / 2) / (
                positives * negatives
            )
    return areas


def reliability(logits: np.ndarray, labels: np.ndarray, bins: int = 10) -> np.ndarray:
    """How sure a classifier is, and how often it is right: sums over samples by confidence.

    Confidence is the softmax probability of the predicted class; bin i of B holds those in (i / B,
    (i + 1) / B].

    Args:
        logits: (n, K).
        labels: class indices, (n,).
        bins: B, of equal width.

    Returns:
        samples, summed confidence and hits of every bin, (B, 3).
    """
    probabilities = softmax(logits)  # (n, K)
    confidence = probabilities.max(axis=1)
    hits = probabilities.argmax(axis=1) == np.asarray(labels)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return np.stack(
        [
            np.bincount(place, weights, bins)
            for weights in (np.ones(len(hits)), confidence, hits.astype(float))
        ],
        axis=1,
    )


def calibration_error(sums: np.ndarray) -> float:
    """Expected calibration error of the sums of `reliability`: mean over samples of |confidence -
    accuracy| of their bin, a fraction.
    """
    return float(np.abs(sums[:, 1] - sums[:, 2]).sum() / sums[:, 0].sum())


def natural_scores(confusion: np.ndarray, candidates: np.ndarray) -> dict[str, np.ndarray]:
    """Scores at the frequencies with which classes occur, of a confusion matrix of balanced
    samples.

    Args:
        confusion: counts (…, K, K).
        candidates: how often each class occurs, (K,).

    Returns:
        `natural_accuracy`, `natural_min_f1` and `natural_mean_f1`, (…) each.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    share = np.asarray(candidates, dtype=np.float64) / np.sum(candidates)  # (K,)
    weighted = (
        _ratio(counts, np.broadcast_to(counts.sum(axis=-1, keepdims=True), counts.shape))
        * share[:, None]
    )
    f1 = per_class_scores(weighted)[2]
    accuracy = np.trace(weighted, axis1=-2, axis2=-1)
    return {
        "natural_accuracy": accuracy,
        "natural_min_f1": f1.min(axis=-1),
        "natural_mean_f1": f1.mean(axis=-1),
    }


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of the classes, float64 (n, K)."""
    exponentials = np.exp(
        np.asarray(logits, dtype=np.float64) - np.max(logits, axis=1, keepdims=True)
    )  # (n, K)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator > 0)


def _mid_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, equal values sharing their mean rank; (n,)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]

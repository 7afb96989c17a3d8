"""What a confusion matrix or a set of logits says about a classifier: plain functions of counts and numbers.

Rows of a confusion matrix are true classes, columns predicted ones. A ratio of 0 / 0 (the precision of a class that is never
predicted, for instance) counts as 0.
"""

from __future__ import annotations

import numpy as np

CLASS_SCORES = ("min_f1", "mean_f1", "min_precision", "mean_precision", "min_recall", "mean_recall")
"""Names of the scores in `class_scores`, as the paper's tables order them."""


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Counts of true class (row) and predicted class (column), int64 (K, K).

    Args:
        labels: class indices, (n,).
        predictions: class indices, (n,).
        classes: K.
    """
    pairs = np.asarray(labels, dtype=np.int64) * classes + np.asarray(predictions, dtype=np.int64)  # (n,)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def per_class_scores(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of each class, as fractions: three arrays (…, K) for confusion matrices (…, K, K)."""
    counts = np.asarray(confusion, dtype=np.float64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)  # (…, K)
    true, predicted = counts.sum(axis=-1), counts.sum(axis=-2)  # (…, K) each
    return _ratio(hits, predicted), _ratio(hits, true), _ratio(2 * hits, true + predicted)


def class_scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """The least and the mean over classes of F1, precision and recall, as fractions (paper, Table 1).

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
    """Mean recall over classes, (…) for confusion matrices (…, K, K): 1 / K for a guess that ignores its input."""
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
    """Area under the ROC curve of each class against all others, (K,), by its softmax probability; ties count half.

    It is the probability that a random member of the class is given a higher probability of it than a random other sample. NaN
    for a class that no sample, or every sample, belongs to.

    Args:
        logits: (n, K).
        labels: class indices, (n,).
    """
    exponentials = np.exp(np.asarray(logits, dtype=np.float64) - np.max(logits, axis=1, keepdims=True))  # (n, K)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    areas = np.full(probabilities.shape[1], np.nan)
    for k, column in enumerate(probabilities.T):
        members = np.asarray(labels) == k
        positives, negatives = int(members.sum()), int((~members).sum())
        if positives and negatives:
            ranks = _mid_ranks(column)
            areas[k] = (ranks[members].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    return areas


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator > 0)


def _mid_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, equal values sharing their mean rank; (n,)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]

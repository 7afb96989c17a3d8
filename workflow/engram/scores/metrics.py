"""What confusion matrices say about a classifier: plain functions of counts.

Rows of a confusion matrix are true classes, columns predicted ones. A ratio of 0 / 0 (the precision
of a class that is never predicted, for instance) counts as 0.
"""

from __future__ import annotations

import numpy as np

from engram.io.errors import EngramError

CLASS_SCORES = ("min_f1", "mean_f1", "min_precision", "mean_precision", "min_recall", "mean_recall")
"""Names of the scores in `class_scores`, in the order of the paper's tables."""
NATURAL_SCORES = ("natural_accuracy", "natural_min_f1", "natural_mean_f1")
"""Names of the scores in `natural_scores`."""


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Count true class (row) and predicted class (column), int64 (K, K).

    Args:
        labels: class indices, (n,).
        predictions: class indices, (n,).
        classes: K.
    """
    pairs = np.asarray(labels, np.int64) * classes + np.asarray(predictions, np.int64)  # (n,)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def predicted_classes(logits: np.ndarray) -> np.ndarray:
    """Return the most likely class of every row of logits (n, K), int (n,).

    Raises:
        EngramError: a logit is NaN or inf, and would choose a class for no reason.
    """
    finite = np.isfinite(logits).all(axis=1)
    if not finite.all():
        raise EngramError(
            f"predictions: {int((~finite).sum())} of {len(finite)} rows have logits that are not "
            f"finite; train the CNNs again"
        )
    return logits.argmax(axis=1)


def per_class_scores(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision, recall and F1 of each class, as fractions: three arrays (…, K) for
    confusion matrices (…, K, K).
    """
    counts = np.asarray(confusion, dtype=np.float64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)  # (…, K)
    true, predicted = counts.sum(axis=-1), counts.sum(axis=-2)  # (…, K) each
    return _ratio(hits, predicted), _ratio(hits, true), _ratio(2 * hits, true + predicted)


def class_scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Return the minimum and the mean over classes of F1, precision and recall, as fractions
    (paper, Table 1).

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
    """Return the mean recall over classes, (…) for confusion matrices (…, K, K).

    A guess that ignores its input scores 1 / K.
    """
    return per_class_scores(confusion)[1].mean(axis=-1)


def table_scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores of the tables, as fractions: balanced accuracy and `class_scores`, (…) for
    confusion matrices (…, K, K).
    """
    return {"balanced_accuracy": balanced_accuracy(confusion)} | class_scores(confusion)


def natural_scores(confusion: np.ndarray, candidates: np.ndarray) -> dict[str, np.ndarray]:
    """Return scores at the frequencies with which classes occur, from a confusion matrix of
    balanced samples.

    Args:
        confusion: counts (…, K, K).
        candidates: how often each class occurs, (K,).

    Returns:
        `NATURAL_SCORES` → values (…): accuracy, minimum F1 and mean F1 of the matrix whose rows
        are weighted by the classes' shares.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    share = np.asarray(candidates, dtype=np.float64) / np.sum(candidates)  # (K,)
    of_class = np.broadcast_to(counts.sum(axis=-1, keepdims=True), counts.shape)
    weighted = _ratio(counts, of_class) * share[:, None]
    f1 = per_class_scores(weighted)[2]
    accuracy = np.trace(weighted, axis1=-2, axis2=-1)
    values = (accuracy, f1.min(axis=-1), f1.mean(axis=-1))
    return dict(zip(NATURAL_SCORES, values, strict=True))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator > 0)

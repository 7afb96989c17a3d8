"""Scores: the published rows to their last digit, scikit-learn's numbers, and defined zeros."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sklearn
from hypothesis import given
from hypothesis import strategies as st

from engram.scores.metrics import (
    CLASS_SCORES,
    balanced_accuracy,
    class_scores,
    confusion_matrix,
)

PUBLISHED = Path(__file__).parents[3] / "resources" / "published"
MATRICES = {
    entry["taxonomy"]: np.array(entry["confusion"])
    for entry in json.loads((PUBLISHED / "confusions_3_classes.json").read_text())
}
SCORES = (
    pd.read_csv(PUBLISHED / "taxonomy_scores.csv").query("models == 'all'").set_index("taxonomy")
)


@pytest.mark.parametrize("taxonomy", MATRICES)
def test_published_matrix_gives_the_published_row(taxonomy: str) -> None:
    found = {
        name: round(100 * float(value), 1)
        for name, value in class_scores(MATRICES[taxonomy]).items()
    }
    assert found == SCORES.loc[taxonomy, list(CLASS_SCORES)].to_dict()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_scores_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = np.array(pairs).T
    confusion = confusion_matrix(labels, predictions, 4)
    np.testing.assert_array_equal(
        confusion, sklearn.confusion_matrix(labels, predictions, labels=range(4))
    )
    columns = sklearn.precision_recall_fscore_support(
        labels, predictions, labels=range(4), zero_division=0
    )
    scores = class_scores(confusion)
    for name, values in zip(("precision", "recall", "f1"), columns, strict=False):
        assert scores[f"min_{name}"] == pytest.approx(values.min())
        assert scores[f"mean_{name}"] == pytest.approx(values.mean())


def test_balanced_accuracy_is_the_mean_recall() -> None:
    random = np.random.default_rng(0)
    labels, predictions = random.integers(0, 3, (2, 50))
    expected = sklearn.balanced_accuracy_score(labels, predictions)
    assert balanced_accuracy(confusion_matrix(labels, predictions, 3)) == pytest.approx(expected)


def test_matrices_are_scored_one_by_one() -> None:
    matrices = np.random.default_rng(0).integers(0, 9, (4, 5, 3, 3))
    scores = class_scores(matrices)
    for name in CLASS_SCORES:
        assert scores[name][2, 3] == class_scores(matrices[2, 3])[name]


def test_class_never_predicted_scores_zero() -> None:
    scores = class_scores(np.array([[4, 0], [4, 0]]))
    assert {
        name: float(scores[name]) for name in ("min_f1", "min_precision", "min_recall")
    } == dict.fromkeys(("min_f1", "min_precision", "min_recall"), 0.0)

"""Log-loss, AUROC and calibration of logits: scikit-learn's numbers, ties, weights."""

import numpy as np
import pytest
import sklearn.metrics as sklearn
from sklearn.calibration import calibration_curve

from engram.scores.probability_metrics import (
    auroc_one_vs_rest,
    calibration_error,
    class_probabilities,
    log_loss,
    reliability_sums,
    weighted_areas,
    weighted_hit_rates,
)


def random_logits(classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(classes)
    logits = np.repeat(random.normal(size=(40, classes)), 2, axis=0)  # ties
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return logits, probabilities, random.integers(0, classes, 80)


@pytest.mark.parametrize("classes", [2, 4])
def test_log_loss_is_that_of_scikit_learn(classes: int) -> None:
    logits, probabilities, labels = random_logits(classes)
    assert log_loss(logits, labels) == pytest.approx(sklearn.log_loss(labels, probabilities))


def test_log_loss_of_large_logits_is_finite() -> None:
    assert log_loss(np.array([[1e4, 0.0]]), np.array([1])) == pytest.approx(1e4)


@pytest.mark.parametrize("classes", [2, 4])
def test_auroc_is_that_of_scikit_learn(classes: int) -> None:
    logits, probabilities, labels = random_logits(classes)
    expected = [sklearn.roc_auc_score(labels == k, probabilities[:, k]) for k in range(classes)]
    np.testing.assert_allclose(auroc_one_vs_rest(logits, labels), expected)


def test_auroc_of_an_absent_class_is_nan() -> None:
    areas = auroc_one_vs_rest(np.eye(3)[[0, 1, 0]], np.array([0, 1, 0]))
    np.testing.assert_array_equal(np.isnan(areas), [False, False, True])


def test_weighted_areas_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    logits, label = random.normal(size=(60, 3)).round(1), random.integers(0, 3, 60)
    logits[:20] = logits[20:40]  # ties
    weights = random.integers(0, 4, size=(5, 60)).astype(float)
    expected = [
        [
            sklearn.roc_auc_score(label == k, class_probabilities(logits)[:, k], sample_weight=row)
            for k in range(3)
        ]
        for row in np.maximum(weights, 1e-12)
    ]
    np.testing.assert_allclose(weighted_areas(logits, label, weights), expected, atol=1e-9)


def test_a_draw_without_the_class_is_as_good_as_a_guess() -> None:
    areas = weighted_areas(np.eye(3), np.arange(3), np.array([[0.0, 1.0, 1.0]]))
    assert areas[0, 0] == 0.5


def test_reliability_and_calibration_error_are_those_of_scikit_learn() -> None:
    logits, probabilities, labels = random_logits(4)
    sums = reliability_sums(logits, labels)
    filled = sums[:, 0] > 0
    confidence, hits = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    accuracy, mean_confidence = calibration_curve(hits, confidence, n_bins=10)
    assert sums[:, 0].sum() == len(labels)
    np.testing.assert_allclose(sums[filled, 1] / sums[filled, 0], mean_confidence)
    np.testing.assert_allclose(sums[filled, 2] / sums[filled, 0], accuracy)
    weight = sums[filled, 0] / len(labels)
    assert calibration_error(sums) == pytest.approx(
        (weight * np.abs(accuracy - mean_confidence)).sum()
    )


def test_weighted_hit_rates_equal_counting_by_hand() -> None:
    generator = np.random.default_rng(3)
    logits = generator.integers(-3, 4, (60, 3)).astype(float)  # with ties
    labels = generator.integers(3, size=60)
    weights = generator.multinomial(60, np.full(60, 1 / 60), 5).astype(float)
    weights = np.concatenate([np.ones((1, 60)), weights])
    for most in (0.0, 0.1, 0.4, 1.0):
        rates = weighted_hit_rates(logits, labels, weights, most)
        chances = class_probabilities(logits)
        for row, weight in enumerate(weights):
            for k in range(3):
                inside, outside = weight * (labels == k), weight * (labels != k)
                best = 0.0
                for threshold in chances[:, k]:
                    passes = chances[:, k] >= threshold
                    if outside[passes].sum() <= most * outside.sum() + 1e-9:
                        best = max(best, inside[passes].sum() / inside.sum())
                assert rates[row, k] == pytest.approx(best)
    none = weighted_hit_rates(logits, np.zeros(60, int), np.ones((1, 60)), 0.01)
    assert none.tolist() == [[0.01, 0.01, 0.01]]

"""Temperature scaling: a known temperature comes back, and few samples give no certainty."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_predictions import predictions

from engram.scores.calibration import HIGHEST, LOWEST, ensemble, fit_temperature
from engram.scores.probability_metrics import (
    calibration_error,
    class_probabilities,
    reliability_sums,
)


@pytest.mark.parametrize("true", [0.4, 1.0, 5.0])
def test_a_known_temperature_comes_back(true: float) -> None:
    random = np.random.default_rng(0)
    logits = true * random.normal(size=(6000, 3)) * 2
    chances = class_probabilities(logits / true)
    labels = (chances.cumsum(1) > random.random((6000, 1))).argmax(1)
    fitted = fit_temperature(logits, labels)
    assert fitted == pytest.approx(true, rel=0.08)
    error = calibration_error(reliability_sums(logits / fitted, labels))
    assert error < 0.025


def test_labels_that_are_all_guessed_right_give_no_certainty() -> None:
    labels = np.arange(30) % 3
    logits = 10 * np.eye(3)[labels]
    fitted = fit_temperature(logits, labels)
    assert LOWEST * 2 < fitted < HIGHEST / 2
    # Platt's target for ten samples of a class: 11 / 13.
    assert class_probabilities(logits / fitted).max() == pytest.approx(11 / 13, abs=1e-3)


def test_the_ensemble_has_the_mean_logits_of_each_sample() -> None:
    rows = predictions(per_class=5)
    shuffled = rows.sample(frac=1, random_state=1)
    whole = ensemble(shuffled).set_index("sequence_id")
    assert len(whole) == 15
    own = rows[rows["sequence_id"] == 7]
    np.testing.assert_allclose(whole.loc[7, "logits"], np.mean(own["logits"].tolist(), axis=0))
    assert whole.loc[7, "class"] == own["class"].iloc[0]

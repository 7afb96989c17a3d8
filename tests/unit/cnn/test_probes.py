"""Logistic regressions: the optimum, what they choose on, and which columns they may see."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from engram.cnn.probes import (
    NOT_FEATURES,
    STRENGTHS,
    choose_strength,
    fit_logistic,
    mean_loss,
    rank_inputs,
    scalar_features,
)
from engram.windows.labels import CARRIED, MEASURED

RANDOM = np.random.default_rng(0)
LABEL = np.arange(300) % 3
FEATURES = RANDOM.normal(size=(300, 5)) + LABEL[:, None] * [1.0, 0, 0, 0, 0.3]
TRAIN, VALIDATION = np.arange(200), np.arange(200, 300)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_fit_is_the_optimum_of_mean_loss_plus_penalty(strength: float, classes: int) -> None:
    """The objective is convex: its gradient is zero at the optimum and nowhere else."""
    features, label = FEATURES * [1, 100, 0.01, 1, 1] + 7, LABEL % classes
    probe = fit_logistic(features, label, classes, strength)
    standard = (features - features.mean(0)) / features.std(0)
    residual = softmax(standard @ probe.weight.T + probe.bias, axis=1) - np.eye(classes)[label]
    gradient = residual.T @ standard / len(label) + strength * probe.weight
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    np.testing.assert_allclose(residual.mean(axis=0), 0, atol=1e-6)
    expected = standard @ probe.weight.T + probe.bias
    np.testing.assert_allclose(probe.logits(features), expected, rtol=1e-5, atol=1e-6)


def test_a_class_without_samples_is_improbable_and_leaves_the_others_as_they_are() -> None:
    fitted = LABEL != 1
    with_absent = fit_logistic(FEATURES[fitted], LABEL[fitted], 3, 0.1).logits(FEATURES)
    without = fit_logistic(FEATURES[fitted], LABEL[fitted] // 2, 2, 0.1).logits(FEATURES)
    np.testing.assert_allclose(with_absent[:, [0, 2]], without, atol=1e-5)
    assert softmax(with_absent.astype(float), axis=1)[:, 1].max() < 1e-9


def test_constant_feature_changes_nothing() -> None:
    with_constant = np.column_stack([FEATURES, np.full(300, 3.0)])
    np.testing.assert_allclose(
        fit_logistic(with_constant, LABEL, 3, 0.1).logits(with_constant),
        fit_logistic(FEATURES, LABEL, 3, 0.1).logits(FEATURES),
        atol=1e-4,
    )


def test_strength_is_the_best_on_validation_and_validation_is_not_learned() -> None:
    chosen = choose_strength(FEATURES, LABEL, 3, TRAIN, VALIDATION)
    losses = {
        s: mean_loss(
            fit_logistic(FEATURES[TRAIN], LABEL[TRAIN], 3, s).logits(FEATURES[VALIDATION]),
            LABEL[VALIDATION],
        )
        for s in STRENGTHS
    }
    assert chosen.strength == min(losses, key=losses.__getitem__)
    assert chosen.loss == losses[chosen.strength]


def test_without_validation_every_fifth_training_sample_chooses_and_all_are_fitted() -> None:
    chosen = choose_strength(FEATURES, LABEL, 3, TRAIN, np.empty(0, int))
    whole = fit_logistic(FEATURES[TRAIN], LABEL[TRAIN], 3, chosen.strength)
    np.testing.assert_array_equal(chosen.probe.weight, whole.weight)


def test_the_informative_layer_comes_first() -> None:
    noise = RANDOM.normal(size=FEATURES.shape)
    ranked = rank_inputs(
        {"layer-0": noise, "layer-1": FEATURES, "layer-2": noise[::-1]},
        LABEL,
        3,
        TRAIN,
        VALIDATION,
        "layers",
    )
    assert next(iter(ranked)) == "layer-1"


def labels() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sequence_id": [1, 2, 3],
            "content_group": [1, 2, 3],
            "memorization_score": [1.0, 0.5, 1.0],
            "exposures": [3, 4, 5],
            "trains": [True, True, False],
            "kind": ["natural", "repeat", "natural"],
            "rouge_l": [0.1, 0.9, 0.5],
            "is_code": [True, False, True],
            "sequence_duplicates": [0, 9, 99],
            "longest_match": [32, 3, 32],
            "max_frequency": [0, 9, 99],
            "sequence_perplexity": [1.0, np.inf, 3.0],
            "token_entropy": [1.0, np.nan, 5.0],
        }
    )


def test_scalars_leave_out_identities_truth_and_what_defines_the_classes() -> None:
    assert list(scalar_features(labels(), {"memorization_score", "rouge_l"})) == [
        "is_code",
        "max_frequency",
        "sequence_perplexity",
        "token_entropy",
    ]


def test_no_scalar_is_known_of_a_text_beyond_what_it_says() -> None:
    """A new column has to be named in `NOT_FEATURES` or here."""
    of_text = {"kind", "half_overlap"}
    assert set(CARRIED) - NOT_FEATURES == of_text
    of_model = {
        "suffix_log_prob",
        *("prompt_perplexity", "generation_perplexity", "sequence_perplexity"),
    }
    assert set(MEASURED) - NOT_FEATURES == of_model


def test_scalars_are_finite_and_long_tails_are_logarithms() -> None:
    features = scalar_features(labels(), set())
    assert np.isfinite(features.to_numpy()).all()
    np.testing.assert_allclose(features["max_frequency"], np.log1p([0, 9, 99]))
    np.testing.assert_allclose(features["token_entropy"], [1, 3, 5])

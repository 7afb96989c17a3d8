"""What REMIND's features say about classes: on held-out groups, with intervals."""

from __future__ import annotations

import numpy as np
import pytest

from engram.io.errors import EngramError
from engram.mechanisms.remind import RIVALS, Landscape
from engram.mechanisms.remind_scores import (
    METHODS,
    cross_folds,
    held_out_logits,
    score_methods,
)

STATISTICS = {"resamples": 60, "confidence": 0.95, "seed": 1}


def planted(n: int, classes: int, seed: int = 0) -> tuple[Landscape, np.ndarray]:
    """Texts of one loss, whose neighbours are the farther away the higher the class."""
    generator = np.random.default_rng(seed)
    label = generator.integers(classes, size=n)
    rivals = generator.normal(3, 0.5, (n, len(RIVALS)))
    losses = rivals[:, :1] + (1 + label[:, None]) * generator.normal(1, 0.05, (n, 6))
    replaced = generator.integers(1, 9, (n, 6))
    return Landscape(losses, replaced, rivals), label


def test_planted_neighbourhoods_are_told_apart_and_single_losses_are_not() -> None:
    landscape, label = planted(240, 3)
    group = np.arange(240)
    logits = held_out_logits(landscape, label, 3, cross_folds(group, 4, 0), 0)
    table = score_methods(logits, label, group, ["a", "b", "c"], **STATISTICS)
    assert table["method"].unique().tolist() == [*METHODS]
    scores = table.set_index(["method", "class"])
    for method in ("forest", "logistic"):
        assert (scores.loc[method, "auc"] > 0.97).all()
        assert (scores.loc[method, "tpr"] > 0.8).all()
    for method in ("rivals", *RIVALS):
        assert (scores.loc[method, "auc"] < 0.65).all()
        assert (scores.loc[method, "tpr"] < 0.2).all()
    row = scores.loc["forest", "b"]
    assert (row["n"], row["n"] + row["rest"], row["groups"]) == ((label == 1).sum(), 240, 240)
    mean = scores.loc["loss"].drop("all")
    assert scores.loc[("loss", "all"), "auc"] == pytest.approx(mean["auc"].mean())
    assert (table["auc_low"] <= table["auc"] + 1e-9).all()
    assert (table["auc"] <= table["auc_high"] + 1e-9).all()
    assert (scores.loc["loss", "auc_low"] < scores.loc["loss", "auc_high"] - 0.03).all()


def test_nothing_is_tested_on_a_group_that_it_was_fitted_on() -> None:
    group = np.array([5, 5, 2, 9, 9, 9, 7, 2])
    folds = cross_folds(group, 3, 0)
    assert len(folds) == 3
    for fitted, tested in folds:
        assert not set(group[fitted]) & set(group[tested])
        assert len(fitted) + len(tested) == 8
    assert sorted(np.concatenate([tested for _, tested in folds])) == [*range(8)]
    # Labels of noise that each group shares: only a leak could find them.
    generator = np.random.default_rng(0)
    group = np.repeat(np.arange(60), 5)
    label = generator.integers(2, size=60)[group]
    losses = np.repeat(generator.normal(size=(60, 4)), 5, axis=0)
    landscape = Landscape(losses, np.ones((300, 4), np.int64), np.abs(losses))
    logits = held_out_logits(landscape, label, 2, cross_folds(group, 5, 0), 0)
    scores = score_methods(logits, label, group, ["a", "b"], **STATISTICS)
    assert scores.set_index("method").loc["forest", "auc"].max() < 0.75
    leaky = [(np.arange(1, 300, 2), np.arange(0, 300, 2))]
    logits = held_out_logits(landscape, label, 2, leaky, 0)
    scores = score_methods(logits, label, group, ["a", "b"], **STATISTICS)
    assert scores.set_index("method").loc["forest", "auc"].min() > 0.95
    assert scores["n"].max() == 150  # rows that no fold tests are left out


def test_equal_seeds_give_equal_scores() -> None:
    landscape, label = planted(60, 2)
    group = np.arange(60)
    first, second = (
        held_out_logits(landscape, label, 2, cross_folds(group, 3, 7), 7) for _ in range(2)
    )
    for method in METHODS:
        np.testing.assert_array_equal(first[method], second[method])


def test_texts_of_one_class_are_refused() -> None:
    landscape, label = planted(40, 2)
    label[:20] = 0
    rows = np.arange(40)
    with pytest.raises(EngramError, match="the 20 texts that it is fitted on are of one class"):
        held_out_logits(landscape, label, 2, [(rows[:20], rows[20:])], 0)
    logits = held_out_logits(landscape, label, 2, [(rows[20:], rows[:20])], 0)
    with pytest.raises(EngramError, match="the 20 texts that it is tested on are of one class"):
        score_methods(logits, label, rows, ["a", "b"], **STATISTICS)
    with pytest.raises(EngramError, match="folds: 5, content groups: 1; REMIND needs two"):
        cross_folds(np.zeros(4), 5, 0)

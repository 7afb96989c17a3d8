"""Scores of classifiers where they were not trained: planted transfer, and none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tiny_predictions import CLASSES, predictions

from engram.scores.transfer_table import COLUMNS, FEWEST, permuted_scores, transfer_scores

STATISTICS = {"resamples": 200, "confidence": 0.95, "seed": 0, "permutations": 400}
CHANCE = 1 / len(CLASSES)


def both(elsewhere: float, own: float, text: float = CHANCE) -> pd.DataFrame:
    """Return the rows of balanced accuracy of attention and text."""
    parts = [predictions(elsewhere), predictions(text, run=("text", "real"), seed=5)]
    home = predictions(own, seed=1)
    table = transfer_scores(pd.concat(parts), home, CLASSES, **STATISTICS)
    assert list(table) == COLUMNS
    return table[table["score"] == "balanced_accuracy"].set_index("input")


def test_what_transfers_is_above_chance_and_like_home() -> None:
    rows = both(0.75, 0.75)
    row = rows.loc["attention"]
    assert row["p"] < 0.01 and row["value_low"] > row["null_95"] > CHANCE
    assert row["difference_low"] < 0 < row["difference_high"]
    assert row["over_text_low"] > 0 and np.isnan(rows.loc["text", "over_text"])
    assert row["value"] - row["own"] == pytest.approx(row["difference"])
    assert (row["n"], row["groups"], row["fewest"], row["cnns"]) == (120, 60, 40, 4)
    assert np.isnan(rows.loc["text", "own"])  # nobody asked the text at home


def test_what_does_not_transfer_is_at_chance_and_below_home() -> None:
    row = both(CHANCE, 0.75).loc["attention"]
    assert row["p"] > 0.05 and row["value_low"] < CHANCE < row["value_high"]
    assert row["difference_high"] < 0


def test_permuted_classes_reject_as_often_as_they_should() -> None:
    p = []
    for seed in range(60):
        frame = predictions(CHANCE, seed=seed, per_class=20, seeds=(0,))
        scores = permuted_scores(frame, CLASSES, seed, 99)["balanced_accuracy"]
        p.append((1 + (scores[1:] >= scores[0]).sum()) / 100)
    assert np.mean(np.array(p) <= 0.05) < 0.15 and 0.35 < np.mean(p) < 0.65


def test_only_samples_that_both_predict_count() -> None:
    here, home = predictions(0.7), predictions(0.7, seed=1)
    home = home[home["sequence_id"] < 60]
    table = transfer_scores(here, home, CLASSES, **STATISTICS)
    assert set(table["n"]) == {60}
    alone = transfer_scores(here, home.head(0), CLASSES, **STATISTICS)
    assert set(alone["n"]) == {120} and alone["own"].isna().all()


def test_too_few_samples_of_a_class_have_no_scores() -> None:
    frame = predictions(0.7, per_class=FEWEST - 1)
    table = transfer_scores(frame, frame, CLASSES, **STATISTICS)
    assert set(table["fewest"]) == {FEWEST - 1} and table["value"].isna().all()
    none = transfer_scores(frame.head(0), frame, CLASSES, **STATISTICS)
    assert list(none) == COLUMNS and none.empty

"""REMIND as a stage: fitted on one split, tested on the other, a row for every sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tiny_language_model import tokenizer
from tiny_models import gpt_neox, random_tokens

from engram.knockout.experiment import Samples
from engram.lm.tokens import decode
from engram.mechanisms.remind import FEATURES, RIVALS, Neighbourhood, measure_landscape
from engram.mechanisms.remind_experiment import run_remind
from engram.mechanisms.remind_row import remind_predictions
from engram.scores.score_table import score_table

CHOSEN = Neighbourhood(3, nearest=5, seed=1)
STATISTICS = {"resamples": 50, "confidence": 0.95, "seed": 3}


def samples(seed: int, first: int) -> Samples:
    n = 12
    ids = np.arange(first, first + n)
    return Samples(ids, ids, np.arange(n) % 2, random_tokens(n, 12, seed))


def test_scores_are_of_the_tested_split_and_rows_of_both() -> None:
    test, fitted = samples(0, 0), samples(1, 100)
    fitted = replace(fitted, content_group=np.r_[3, fitted.content_group[1:]])
    arguments = (gpt_neox(), tokenizer(), test, fitted, ["Guess", "Recall"], CHOSEN, 300)
    scores, table = run_remind(*arguments, **STATISTICS)
    assert scores["class"].tolist()[:3] == ["Guess", "Recall", "all"]
    assert scores["n"].tolist()[:3] == [6, 6, 12] and (scores["groups"] == 12).all()
    shown = [f"{method}: {name}" for method in ("forest", "logistic") for name in arguments[4]]
    assert list(table) == ["sequence_id", "class", "used", *FEATURES, *RIVALS[1:], *shown]
    # Sample 100 has the text of a tested one: nothing is fitted on it.
    assert table["used"].tolist() == ["tested"] * 12 + ["left out"] + ["fitted"] * 11
    assert table["sequence_id"].tolist() == [*range(12), *range(100, 112)]
    expected = measure_landscape(
        gpt_neox(), test.tokens, decode(tokenizer(), test.tokens), CHOSEN, 300
    )
    np.testing.assert_allclose(table[[*FEATURES]][:12], expected.features, atol=1e-5)
    chances = table[shown][:12]
    assert chances["forest: Guess"].to_numpy() == pytest.approx(1 - chances["forest: Recall"])
    assert table[shown][12:].isna().all(axis=None)
    again, _ = run_remind(*arguments, **STATISTICS)
    assert again.equals(scores)


def test_the_forest_is_scored_as_the_cnns_are() -> None:
    classes = ["Guess", "Recall"]
    samples = pd.DataFrame(
        {
            "sequence_id": [4, 7, 9, 5],
            "class": ["Guess", "Recall", "Recall", "Guess"],
            "used": ["tested", "tested", "tested", "fitted"],
            "forest: Guess": [0.9, 0.0, 0.7, np.nan],
            "forest: Recall": [0.1, 1.0, 0.3, np.nan],
        }
    )
    of_cnn = {"split": "test", "input": "attention", "labels": "real", "cnn": "k2", "seed": 0}
    predictions = pd.DataFrame(
        [
            {"sequence_id": i, "content_group": 10 * i, "class": "Guess", "epoch": 1} | of_cnn
            for i in (9, 7, 4, 4)
        ]
    ).assign(logits=[np.zeros(2)] * 4)
    rows = remind_predictions(samples, predictions, classes)
    assert rows["content_group"].tolist() == [40, 70, 90]
    scores = score_table(pd.concat([predictions, rows]), classes, resamples=20)
    row = scores.set_index("input").loc["remind"]
    assert (row["n"], row["groups"], row["cnns"]) == (3, 3, 1)
    assert row["balanced_accuracy"] == pytest.approx((1 + 1 / 2) / 2)

"""Feed-forward layers as a stage: its tables hold what the measures give, class by class."""

from __future__ import annotations

from typing import Any

import numpy as np
from tiny_models import LAYERS, gpt_neox, random_tokens

from engram.knockout.experiment import Samples
from engram.mechanisms.feed_forward import ablate_blocks, ablate_neurons, rank_neurons
from engram.mechanisms.feed_forward_experiment import run_feed_forward
from engram.mechanisms.settings import FeedForwardSettings

WINDOW, PREFIX = 14, 8
CLASSES = ["Guess", "Recall"]
STATISTICS: dict[str, Any] = {"resamples": 60, "confidence": 0.95, "seed": 3}


def samples(seed: int) -> Samples:
    return Samples(
        np.arange(5), np.arange(5), np.array([0, 1, 1, 0, 1]), random_tokens(5, WINDOW, seed)
    )


def test_tables_are_means_of_the_measures() -> None:
    model, test, reference = gpt_neox(), samples(0), samples(1)
    settings = FeedForwardSettings(operation="mean", shares=(0.02, 0.1), draws=2)
    tables = run_feed_forward(model, test, reference, CLASSES, PREFIX, settings, 300, **STATISTICS)
    recall = test.label == 1
    blocks = ablate_blocks(model, test.tokens, PREFIX, "mean", reference.tokens).differences()
    name = "suffix_log_prob_difference"
    table = tables["blocks"]
    assert table["layer"].tolist() == [*range(1, LAYERS + 1)] * 2
    np.testing.assert_allclose(
        table.loc[table["class"] == "Recall", name], blocks[name][recall].mean(0), atol=1e-5
    )
    np.testing.assert_allclose(tables["samples"][name], blocks[name].ravel(), atol=1e-5)
    deltas = rank_neurons(model, reference.tokens, reference.label, 2, PREFIX)
    effects = ablate_neurons(
        *(model, test.tokens, PREFIX, deltas, (0.02, 0.1), "mean", reference.tokens),
        draws=2,
        seed=3,
    )
    table = tables["neurons"]
    assert len(table) == 2 * 2 * 2 * 2
    row = table[
        (table["class"] == "Recall")
        & (table["ranked"] == "Guess")
        & (table["share"] == 0.1)
        & (table["chosen"] == "random")
    ]
    expected = effects.differences()[name][recall, 0, 1, 1].mean()
    np.testing.assert_allclose(row[name], expected, atol=1e-5)
    assert row["removed"].item() == effects.counts[1] == 19
    chosen = tables["chosen"]
    assert chosen["rank"].tolist() == [*range(1, 20)] * 2
    first = chosen.iloc[19]
    assert np.abs(deltas[1]).max() == np.abs(first["delta"])
    assert deltas[1, first["layer"] - 1, first["neuron"] - 1] == first["delta"]


def test_without_shares_only_blocks_are_removed() -> None:
    settings = FeedForwardSettings(shares=())
    tables = run_feed_forward(
        gpt_neox(), samples(0), samples(1), CLASSES, PREFIX, settings, 300, **STATISTICS
    )
    assert len(tables["blocks"]) == 2 * LAYERS
    assert tables["neurons"].empty and tables["chosen"].empty

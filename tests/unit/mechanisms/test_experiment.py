"""The stage of a study: its tables hold what the measures give, class by class."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_models import HEADS, LAYERS, gpt_neox, random_tokens

from engram.io.errors import EngramError
from engram.knockout.experiment import Samples
from engram.lm.generation import greedy_continuations
from engram.mechanisms.compression import compress
from engram.mechanisms.experiment import run
from engram.mechanisms.heads import ablate_each_head
from engram.mechanisms.logit_lens import read_layers
from engram.mechanisms.perturbation import PerturbationSettings, perturb
from engram.mechanisms.settings import MechanismsSettings
from engram.mechanisms.tuned_lens import fit_tuned_lens

WINDOW, PREFIX = 14, 8
CLASSES = ["Non-Memo", "Guess"]
STATISTICS = {"resamples": 100, "confidence": 0.95, "seed": 3}


def samples(seed: int) -> Samples:
    """Two samples that the model does not write, and three that it does."""
    tokens = random_tokens(5, WINDOW, seed)
    tokens[2:, PREFIX:] = greedy_continuations(gpt_neox(), tokens[2:, :PREFIX], WINDOW - PREFIX)
    return Samples(np.arange(5), np.arange(5), np.array([0, 0, 1, 1, 1]), tokens)


def test_tables_are_means_of_the_measures() -> None:
    model, test = gpt_neox(), samples(0)
    settings = MechanismsSettings(
        alphas=(0.0, 0.5), seeds=2, heads="mean", scan=True, tuned_lens_steps=4
    )
    tables = run(model, test, samples(1), CLASSES, PREFIX, settings, 40 * WINDOW, **STATISTICS)
    assert list(tables) == [
        *("perturbation", "recovery", "lens", "winning", "heads", "overlap", "compression")
    ]
    guess = {
        name: table[table["class"] == "Guess"]
        for name, table in tables.items()
        if name != "overlap"
    }
    assert {name: len(table) for name, table in guess.items()} == {
        "perturbation": 2,
        "recovery": 2 * (LAYERS + 1),
        "lens": 2 * (LAYERS + 1),
        "winning": 2 * 9,
        "heads": LAYERS * HEADS,
        "compression": 1,
    }
    assert all((table["n"] == 3).all() for table in guess.values())
    noise = perturb(model, test.tokens, PREFIX, PerturbationSettings((0.0, 0.5), (0, 1)))
    expected = noise.measures[2:].mean((0, 2))  # (A, 3)
    np.testing.assert_allclose(guess["perturbation"]["suffix_log_prob"], expected[:, 2], rtol=1e-4)
    np.testing.assert_allclose(
        guess["recovery"]["cosine"], noise.recovery[2:].mean((0, 2)).ravel(), rtol=1e-4
    )
    log_prob = read_layers(model, test.tokens, PREFIX).log_prob[2:].mean((0, 2))
    lens = guess["lens"].set_index("lens")["log_prob"]
    np.testing.assert_allclose(lens["logit"], log_prob, rtol=1e-4)
    tuned = fit_tuned_lens(
        model, samples(1).tokens, steps=4, batch_tokens=10 * WINDOW, seed=STATISTICS["seed"]
    )
    log_prob = read_layers(model, test.tokens, PREFIX, translate=tuned).log_prob[2:].mean((0, 2))
    np.testing.assert_allclose(lens["tuned"], log_prob, rtol=1e-4)
    effects = ablate_each_head(model, test.tokens, PREFIX, "mean", samples(1).tokens)
    loss = effects.difference("suffix_log_prob")[2:].mean(0).ravel()
    np.testing.assert_allclose(guess["heads"]["suffix_log_prob_difference"], loss, atol=1e-4)
    lengths = compress(model, test.tokens, PREFIX, scan=True)
    assert guess["compression"]["fewest"].item() == pytest.approx(lengths.fewest[2:].mean())
    assert guess["compression"]["extracted"].item() == 1
    assert tables["overlap"][["first", "second"]].to_numpy().tolist() == [CLASSES]


def test_a_depth_that_the_model_does_not_have_is_refused() -> None:
    settings = MechanismsSettings(depth=9, seeds=1)
    with pytest.raises(EngramError, match="depth: 9; the model has 0"):
        run(gpt_neox(), samples(0), samples(1), CLASSES, PREFIX, settings, 400, **STATISTICS)

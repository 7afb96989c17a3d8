"""Feed-forward layers: planted blocks and neurons are found; sets of neurons hold what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_mechanisms import (
    SIX,
    last_matrix,
    slow_feed_forward,
    slow_feed_forward_means,
)
from tiny_models import LAYERS, gpt_neox, random_tokens
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.conditions import MEASURES
from engram.lm.feed_forward_removal import neurons_per_layer
from engram.mechanisms.feed_forward import (
    ablate_blocks,
    ablate_neurons,
    class_differences,
    neuron_activity,
    paired_difference,
    random_neurons,
    rank_neurons,
    top_neurons,
)

WINDOW, PREFIX = 14, 8


@pytest.mark.parametrize("operation", ["remove", "mean"])
@pytest.mark.parametrize("architecture", SIX)
def test_ablations_equal_a_hooked_eager_model(architecture: str, operation: str) -> None:
    model, tokens = SIX[architecture](), random_tokens(2, WINDOW)
    reference = random_tokens(3, WINDOW, seed=9)
    means = slow_feed_forward_means(model, reference)
    blocks = ablate_blocks(model, tokens, PREFIX, operation, reference, 5 * WINDOW)
    assert blocks.ablated.shape == (2, LAYERS, len(MEASURES))
    intact = slow_feed_forward(model, tokens, PREFIX, {}, operation, means)
    for layer in range(LAYERS):
        expected = slow_feed_forward(model, tokens, PREFIX, {layer: None}, operation, means)
        np.testing.assert_allclose(blocks.ablated[:, layer], expected, atol=1e-5)
        difference = blocks.differences()["suffix_log_prob_difference"][:, layer]
        np.testing.assert_allclose(difference, (expected - intact)[:, 2], atol=1e-5)
    deltas = rank_neurons(model, reference, np.array([0, 1, 1]), 2, PREFIX)
    share = 3 / deltas[0].size
    effects = ablate_neurons(
        *(model, tokens, PREFIX, deltas, [share], operation, reference), draws=2, seed=4
    )
    generator = np.random.default_rng(4)
    for ranking, delta in enumerate(deltas):
        chosen = top_neurons(delta, 3)
        drawn = [random_neurons(chosen, generator) for _ in range(2)]
        of_sets = []
        for mask in (chosen, *drawn):
            removed = {k: np.flatnonzero(row).tolist() for k, row in enumerate(mask)}
            of_sets.append(slow_feed_forward(model, tokens, PREFIX, removed, operation, means))
        ablated = effects.ablated[:, ranking, 0]  # (n, 2, 3)
        np.testing.assert_allclose(ablated[:, 0], of_sets[0], atol=1e-5)
        np.testing.assert_allclose(ablated[:, 1], np.mean(of_sets[1:], 0), atol=1e-5)
    assert effects.counts == (3,)


@pytest.mark.parametrize("architecture", SIX)
def test_activity_is_the_mean_over_the_tokens_that_predict_the_suffix(architecture: str) -> None:
    model, tokens = SIX[architecture](), random_tokens(3, WINDOW)
    fast = neuron_activity(model, tokens, PREFIX, batch_tokens=2 * WINDOW)
    for row in range(3):
        _, inside = slow_feed_forward_means(model, tokens[row : row + 1])
        expected = torch.stack([values[PREFIX - 1 : -1].mean(0) for values in inside])
        np.testing.assert_allclose(fast[row], expected, atol=1e-5)


def plant(model: PreTrainedModel, layer: int, neuron: int) -> None:
    """Let every feed-forward block of GPT-NeoX put out nothing but what one neuron writes."""
    with torch.no_grad():
        for number in range(LAYERS):
            matrix = last_matrix(model, number)
            kept = matrix.weight[:, neuron].clone()
            matrix.weight.zero_()
            matrix.bias.zero_()
            if number == layer:
                matrix.weight[:, neuron] = kept


def test_the_only_block_and_neuron_that_write_are_found() -> None:
    model, tokens = gpt_neox(), random_tokens(4, WINDOW)
    plant(model, 1, 5)
    change = np.abs(
        ablate_blocks(model, tokens, PREFIX).differences()["suffix_log_prob_difference"]
    )
    assert change[:, 1].min() > 1e-4 and change[:, [0, 2]].max() < 1e-6
    delta = np.zeros((2, LAYERS, neurons_per_layer(model)))
    delta[0, 1, 5], delta[1, 1, 6] = -3, 3
    effects = ablate_neurons(model, tokens, PREFIX, delta, [1e-9])
    assert effects.counts == (1,)  # one neuron at least
    loss = np.abs(effects.differences()["suffix_log_prob_difference"])  # (n, 2, 1, 2)
    assert loss[:, 0, 0, 0].min() > 1e-4 and loss[:, 1, 0, 0].max() < 1e-6


def test_differences_of_classes_are_in_deviations() -> None:
    generator = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], 400)
    activity = generator.normal(0, 2, (1200, 2, 3)).astype(np.float32)
    activity[label == 1, 1, 2] += 6
    activity[:, 0, 0] = 7
    delta = class_differences(activity, label, 3)
    assert delta[1, 1, 2] == pytest.approx(3, abs=0.3)
    assert delta[[0, 2], 1, 2] == pytest.approx(-1.5, abs=0.3)
    assert (delta[:, 0, 0] == 0).all() and np.abs(delta[:, 0, 1:]).max() < 0.3
    with pytest.raises(EngramError, match=r"\[400, 0\] texts of the 2 classes; Δ needs two"):
        class_differences(activity[:400], label[:400], 2)


def test_paired_differences_see_what_texts_hide() -> None:
    generator = np.random.default_rng(0)
    of_texts = generator.normal(0, 50, (300, 2, 3))
    second = of_texts + generator.normal(0, 0.1, of_texts.shape)
    first = of_texts + generator.normal(0, 0.1, of_texts.shape)
    first[:, 1, 0] += 0.5
    delta = paired_difference(first, second)
    assert delta[1, 0] == pytest.approx(0.5 / np.sqrt(0.02), rel=0.2)
    assert np.flatnonzero(top_neurons(delta, 1)).tolist() == [3]
    # A model does not differ from itself.
    model, tokens = gpt_neox(), random_tokens(4, WINDOW)
    deltas = rank_neurons(model, tokens, np.zeros(4, int), 1, PREFIX, counterpart=model)
    assert deltas.shape == (1, LAYERS, neurons_per_layer(model)) and not deltas.any()


def test_sets_of_neurons() -> None:
    delta = np.array([[1.0, -4.0, 2.0], [2.0, 0.0, -2.0]])
    assert top_neurons(delta, 3).tolist() == [[False, True, True], [True, False, False]]
    chosen = np.zeros((3, 50), bool)
    chosen[0, :4], chosen[2, 7] = True, True
    drawn = random_neurons(chosen, np.random.default_rng(0))
    assert drawn.sum(1).tolist() == [4, 0, 1] and not np.array_equal(drawn, chosen)


def test_what_cannot_be_done_is_refused() -> None:
    model, tokens = gpt_neox(), random_tokens(2, WINDOW)
    with pytest.raises(EngramError, match="operation: 'layer_mean'; choose remove, mean"):
        ablate_blocks(model, tokens, PREFIX, "layer_mean")
    with pytest.raises(EngramError, match="reference: none; operation='mean' needs texts"):
        ablate_blocks(model, tokens, PREFIX, "mean")
    deltas = np.zeros((1, LAYERS, neurons_per_layer(model)))
    for shares, draws in (([], 1), ([0.0], 1), ([1.5], 1), ([0.1], 0)):
        with pytest.raises(EngramError, match=r"shares: .*; give shares above 0, at most 1"):
            ablate_neurons(model, tokens, PREFIX, deltas, shares, draws=draws)
    with pytest.raises(EngramError, match="counterpart: 3 layers of 64 neurons, the model has 3"):
        narrow = SIX["gpt_bigcode"]()
        rank_neurons(narrow, tokens, np.zeros(2, int), 1, PREFIX, counterpart=model)

"""The tuned lens: the logit lens before training, nearer to the model's output afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_mechanisms import SIX
from tiny_models import LAYERS, gpt_neox, random_tokens

from engram.io.errors import EngramError
from engram.lm.inputs import begin_with
from engram.lm.residual_stream import Unembedding
from engram.mechanisms.logit_lens import read_layers
from engram.mechanisms.tuned_lens import TunedLens, fit_tuned_lens

WINDOW, PREFIX = 14, 8


@pytest.mark.parametrize("architecture", SIX)
def test_untrained_it_is_the_logit_lens_bit_for_bit(architecture: str) -> None:
    model, tokens = SIX[architecture](), random_tokens(5, WINDOW)
    tuned = fit_tuned_lens(model, tokens, steps=0)
    one, two = (read_layers(model, tokens, PREFIX, translate=by) for by in (None, tuned))
    for name in ("log_prob", "top", "kl", "entropy"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name


@pytest.mark.parametrize("architecture", SIX)
def test_trained_it_reads_other_texts_better(architecture: str) -> None:
    model = SIX[architecture]()
    tuned = fit_tuned_lens(
        model, random_tokens(64, WINDOW, 1), steps=60, learning_rate=0.01, batch_tokens=32 * WINDOW
    )
    tokens = random_tokens(16, WINDOW, 2)
    before, after = (
        read_layers(model, tokens, PREFIX, translate=by).kl.mean((0, 2)) for by in (None, tuned)
    )
    assert (tuned.divergence[:, 1] <= tuned.divergence[:, 0]).all() and tuned.steps.max() > 0
    assert after[:-1].mean() < 0.8 * before[:-1].mean() and after[-1] == 0


def test_the_divergence_is_that_of_validation_texts() -> None:
    """Of all texts that are alike, whichever are kept for validation."""
    model, tokens = gpt_neox(), np.repeat(random_tokens(1, WINDOW), 8, 0)
    tuned = fit_tuned_lens(model, tokens, steps=0)
    kl = read_layers(model, tokens[:1], 1).kl  # all but the first token are targets
    states = fit_tuned_lens(model, tokens, steps=5)
    np.testing.assert_allclose(tuned.divergence[:, 0], states.divergence[:, 0], rtol=1e-6)
    assert tuned.divergence.shape == (LAYERS, 2)
    # Position T has no target, so the two means differ by one position.
    last = tuned.divergence[:, 0] * WINDOW - kl[0, :-1].sum(1)
    assert (last > -1e-4).all()


def test_a_state_that_needs_no_map_keeps_none() -> None:
    model = gpt_neox()
    with torch.no_grad():
        for layer in model.base_model.layers:  # layers add nothing
            for module in (layer.attention.dense, layer.mlp.dense_4h_to_h):
                module.weight.zero_()
                module.bias.zero_()
    tuned = fit_tuned_lens(model, random_tokens(16, WINDOW), steps=10)
    assert not tuned.steps.any() and not tuned.weight.any() and not tuned.bias.any()


def test_the_model_is_the_former_one_afterwards() -> None:
    model, tokens = gpt_neox(), random_tokens(8, WINDOW)
    with torch.no_grad():
        before = model(torch.from_numpy(tokens)).logits
    fit_tuned_lens(model, tokens, steps=3)
    with torch.no_grad():
        assert torch.equal(model(torch.from_numpy(tokens)).logits, before)
    assert all(parameter.grad is None for parameter in model.parameters())
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
        assert "forward" not in vars(module)


def test_training_is_the_same_for_the_same_seed() -> None:
    model, tokens = gpt_neox(), random_tokens(12, WINDOW)
    begin_with(model, (5,))
    one, two, other = (
        fit_tuned_lens(model, tokens, steps=4, batch_tokens=4 * WINDOW, seed=seed)
        for seed in (0, 0, 1)
    )
    assert torch.equal(one.weight, two.weight) and not torch.equal(one.weight, other.weight)


def test_unembedding_passes_gradients_on() -> None:
    unembedding = Unembedding(gpt_neox())
    state = torch.randn(1, 2, gpt_neox().config.hidden_size, requires_grad=True)
    assert torch.autograd.grad(unembedding(state).sum(), state)[0].abs().sum() > 0
    assert unembedding(state.detach()).is_inference()


def test_maps_are_affine() -> None:
    lens = TunedLens(torch.full((1, 2, 2), 2.0), torch.ones(1, 2), np.zeros((1, 2)), np.zeros(1))
    state = torch.tensor([[1.0, 10.0]])
    assert lens(0, state).tolist() == [[24.0, 33.0]]
    assert lens(1, state) is state


def test_too_few_texts_are_refused() -> None:
    with pytest.raises(EngramError, match="the tuned lens: 3 texts to train on; give 4 or more"):
        fit_tuned_lens(gpt_neox(), random_tokens(3, WINDOW))

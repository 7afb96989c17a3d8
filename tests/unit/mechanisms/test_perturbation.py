"""Noise on the residual stream: equal to a slow implementation, nothing where α is 0."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_mechanisms import SIX, slow_perturbation
from tiny_models import LAYERS, WIDTH, gpt_neox, random_tokens
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.generation import greedy_continuations
from engram.lm.inputs import begin_with
from engram.lm.models import suffix_logits, token_scores
from engram.lm.residual_stream import residual_hook
from engram.mechanisms.perturbation import (
    PerturbationSettings,
    add_noise,
    draw_noise,
    perturb,
)

WINDOW, PREFIX = 16, 8


def plain(model: PreTrainedModel, tokens: np.ndarray) -> np.ndarray:
    """Measures of the model without any hook, (n, 3)."""
    batch = torch.from_numpy(tokens)
    with torch.inference_mode():
        matches, log_probabilities = token_scores(
            model, suffix_logits(model, batch, PREFIX)[0], batch[:, PREFIX:]
        )
    return torch.stack(
        (matches.all(1).float(), matches.float().mean(1), log_probabilities.mean(1)), 1
    ).numpy()


@pytest.mark.parametrize("architecture", SIX)
def test_noise_equals_the_slow_implementation(architecture: str) -> None:
    model, tokens = SIX[architecture](), random_tokens(2, WINDOW)
    for depth, scale in ((0, "norm"), (2, "std"), (LAYERS, "norm")):
        settings = PerturbationSettings((0.0, 0.4), (3, 8), depth, scale)
        fast = perturb(model, tokens, PREFIX, settings, batch_tokens=3 * WINDOW)
        for a, alpha in enumerate(settings.alphas):
            for s, seed in enumerate(settings.seeds):
                measures, cosines = slow_perturbation(
                    model, tokens, PREFIX, draw_noise, alpha, seed, depth, scale
                )
                np.testing.assert_allclose(fast.measures[:, a, s], measures, atol=1e-5)
                np.testing.assert_allclose(fast.recovery[:, a, s], cosines, atol=1e-5)


@pytest.mark.parametrize("architecture", SIX)
def test_no_noise_changes_nothing_bit_for_bit(architecture: str) -> None:
    model, tokens = SIX[architecture](), random_tokens(3, WINDOW)
    # Three clean rows and six noisy ones are a batch of nine.
    expected = plain(model, np.tile(tokens, (3, 1)))[:3]
    for depth in (0, 1):
        settings = PerturbationSettings((0.0, 0.3), (0, 1), depth)
        result = perturb(model, tokens, PREFIX, settings)
        for seed in range(2):
            np.testing.assert_array_equal(result.measures[:, 0, seed], expected)
        assert (result.recovery[:, 0] == 1).all()
        assert (result.recovery[:, 1] < 1).all()
    alone = perturb(model, tokens, PREFIX, PerturbationSettings((0.0,), (4, 5)))
    np.testing.assert_array_equal(
        alone.measures[:, 0, 1], plain(model, np.tile(tokens, (2, 1)))[:3]
    )
    assert (alone.recovery == 1).all()


def test_noise_of_strength_0_keeps_every_bit_of_a_state() -> None:
    hidden = torch.tensor([[[-0.0, 1e-40, 3.0, -7.5]]])
    noise = torch.ones(1, 1, 4)
    for scale in ("norm", "std"):
        same = add_noise(hidden, noise, torch.zeros(1), scale)
        assert same.numpy().tobytes() == hidden.numpy().tobytes()


def test_the_noise_has_the_norm_that_was_asked_for() -> None:
    hidden, noise = (
        torch.randn(2, 5, 64) * 7,
        torch.from_numpy(draw_noise(np.arange(3), 0, (5, 64))),
    )
    for alpha in (0.1, 2.0):
        added = add_noise(hidden, noise.expand(2, -1, -1), torch.full((2,), alpha), "norm") - hidden
        torch.testing.assert_close(added.norm(dim=-1), alpha * hidden.norm(dim=-1))
    added = add_noise(hidden, noise.expand(2, -1, -1), torch.ones(2), "std") - hidden
    spread = hidden.std(-1, correction=0)[..., None]
    torch.testing.assert_close(added / spread, noise.expand(2, -1, -1), atol=1e-4, rtol=1e-3)


def test_noise_belongs_to_seed_and_text() -> None:
    a, b = random_tokens(2, WINDOW)
    shape = (WINDOW, WIDTH)
    np.testing.assert_array_equal(draw_noise(a, 1, shape), draw_noise(a.astype("<i4"), 1, shape))
    assert not np.array_equal(draw_noise(a, 1, shape), draw_noise(a, 2, shape))
    assert not np.array_equal(draw_noise(a, 1, shape), draw_noise(b, 1, shape))


def test_results_depend_neither_on_the_batch_nor_on_the_company() -> None:
    model, tokens = gpt_neox(), random_tokens(4, WINDOW)
    settings = PerturbationSettings((0.2, 0.0, 0.5), (0, 1, 2))
    together = perturb(model, tokens, PREFIX, settings)
    small = perturb(model, tokens, PREFIX, settings, batch_tokens=2 * WINDOW)
    alone = perturb(model, tokens[2:3], PREFIX, PerturbationSettings((0.5,), (1,)))
    np.testing.assert_allclose(small.measures, together.measures, atol=1e-5)
    np.testing.assert_allclose(small.recovery, together.recovery, atol=1e-5)
    np.testing.assert_allclose(alone.measures[0, 0, 0], together.measures[2, 2, 1], atol=1e-5)
    np.testing.assert_allclose(alone.recovery[0, 0, 0], together.recovery[2, 2, 1], atol=1e-5)


def test_strong_noise_destroys_extraction_and_weak_noise_does_not() -> None:
    model = gpt_neox()
    tokens = random_tokens(12, WINDOW)
    tokens[:, PREFIX:] = greedy_continuations(model, tokens[:, :PREFIX], WINDOW - PREFIX)
    result = perturb(model, tokens, PREFIX, PerturbationSettings((0.0, 1e-6, 3.0)))
    rate = result.measures[..., 0].mean((0, 2))
    assert rate[0] == rate[1] == 1 and rate[2] < 0.2
    cosine = result.recovery.mean((0, 2))  # (A, D)
    assert cosine[1].min() > 0.9999 and cosine[2].max() < 0.9


def test_a_token_that_the_model_reads_first_has_noise_and_no_part_in_the_mean() -> None:
    model, tokens = gpt_neox(), random_tokens(2, WINDOW)
    begin_with(model, (5,))
    settings = PerturbationSettings((0.3,), (2,))
    fast = perturb(model, tokens, PREFIX, settings)
    whole = np.concatenate([np.full((2, 1), 5), tokens], 1)
    # The noise is drawn by the window's own tokens, for the opening too.
    measures, _ = slow_perturbation(
        model,
        whole,
        1 + PREFIX,
        lambda row, seed, shape: draw_noise(row[1:], seed, shape),
        0.3,
        2,
        0,
        "norm",
    )
    np.testing.assert_allclose(fast.measures[:, 0, 0], measures, atol=1e-5)


def test_no_hook_is_left_also_after_an_error() -> None:
    model, tokens = gpt_neox(), torch.from_numpy(random_tokens(2, WINDOW))
    with torch.no_grad():
        before = model(tokens).logits
        perturb(model, tokens.numpy(), PREFIX, PerturbationSettings((0.5,), depth=1))

        def broken(depth: int, hidden: torch.Tensor) -> None:
            raise RuntimeError("broken")

        with pytest.raises(RuntimeError, match="broken"), residual_hook(model, broken):
            model(tokens)
        assert torch.equal(model(tokens).logits, before)
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
        assert "forward" not in vars(module)


def test_settings_out_of_range_are_refused() -> None:
    model, tokens = gpt_neox(), random_tokens(1, WINDOW)
    for settings, message in (
        (PerturbationSettings((-0.1,)), r"alphas: \(-0.1,\); give numbers of 0 or more"),
        (PerturbationSettings(()), r"alphas: \(\)"),
        (PerturbationSettings((float("nan"),)), r"alphas: \(nan,\)"),
        (PerturbationSettings(seeds=(1, 1)), r"seeds: \(1, 1\); give different whole numbers"),
        (PerturbationSettings(depth=4), r"depth: 4; the model has 0 .* to 3"),
        (PerturbationSettings(scale="rms"), "scale: 'rms'; choose norm or std"),
    ):
        with pytest.raises(EngramError, match=message):
            perturb(model, tokens, PREFIX, settings)

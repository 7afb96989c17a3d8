"""REMIND: equal to a slow implementation; without neighbours the text stands for itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_mechanisms import SIX, layers_of, slow_landscape
from tiny_models import gpt_neox, random_tokens

from engram.io.errors import EngramError
from engram.lm.models import suffix_logits, token_scores
from engram.mechanisms.remind import (
    FEATURES,
    RIVALS,
    Neighbourhood,
    features_of,
    measure_landscape,
)

WINDOW, CHOSEN = 12, Neighbourhood(5, 0.3, 6, 4)
TEXTS = ["a text of many words", "a a a a a a a a a a", "", "ümlaut"]


@pytest.mark.parametrize("architecture", SIX)
def test_losses_and_features_equal_the_slow_implementation(architecture: str) -> None:
    model, tokens = SIX[architecture](), random_tokens(3, WINDOW)
    fast = measure_landscape(model, tokens, TEXTS[:3], CHOSEN, batch_tokens=4 * WINDOW)
    losses, replaced, rivals, features = slow_landscape(model, tokens, TEXTS[:3], 5, 0.3, 6, 4)
    np.testing.assert_array_equal(fast.replaced, replaced)
    np.testing.assert_allclose(fast.losses, losses, atol=1e-5)
    np.testing.assert_allclose(fast.rivals, rivals, atol=1e-5)
    np.testing.assert_allclose(fast.features, features, atol=1e-5)
    assert np.abs(fast.losses - rivals[:, :1]).min(1).max() > 1e-3
    values = fast.values()
    assert list(values) == [*FEATURES, *RIVALS[1:]] and len(FEATURES) == 15
    np.testing.assert_array_equal(values["curvature"], fast.features[:, -1])


def test_no_neighbours_change_nothing_bit_for_bit() -> None:
    model, tokens = gpt_neox(), random_tokens(4, WINDOW)
    batch = torch.from_numpy(tokens)
    with torch.inference_mode():
        _, plain = token_scores(model, suffix_logits(model, batch, 1)[0], batch[:, 1:])
    loss = -plain.double().mean(1).numpy()
    none = measure_landscape(model, tokens, TEXTS, Neighbourhood(0))
    assert none.losses.shape == (4, 0)
    # A neighbour in which nothing is replaced is the text itself, and is not run again.
    same = measure_landscape(model, tokens, TEXTS, Neighbourhood(3, share=0.0))
    assert (same.losses == loss[:, None]).all() and not same.replaced.any()
    for landscape in (none, same):
        np.testing.assert_array_equal(landscape.rivals[:, 0], loss)
        features = dict(zip(FEATURES, landscape.features.T, strict=True))
        for name in ("loss", "neighbour_mean", "neighbour_max", "neighbour_min"):
            np.testing.assert_allclose(features.pop(name), loss, rtol=1e-15)
        assert all((np.abs(value) < 1e-15).all() for value in features.values())


def named(losses: list[float], replaced: list[int]) -> dict[str, float]:
    """Features of a text of loss 1."""
    return dict(zip(FEATURES, features_of(1.0, np.array(losses), np.array(replaced)), strict=True))


def test_features_of_a_path_by_hand() -> None:
    names = named([4.0, 2.0, 3.0], [5, 1, 1])  # in order: 1, 2, 3, 4
    assert names["neighbour_mean"] == 3 and names["increment_max"] == 3
    assert names["gradient_mean"] == names["gradient_max"] == names["volatility"] == 1
    assert names["gradient_variance"] == names["curvature"] == 0
    names = named([4.0, 2.0, 3.0], [1, 2, 3])  # 1, 4, 2, 3: steps 3, -2, 1; turns 5, 3
    assert names["gradient_max"] == 3 and names["volatility"] == 2 and names["curvature"] == 4
    assert names["gradient_mean"] == pytest.approx(2 / 3)


def test_results_depend_neither_on_the_batch_nor_on_the_company() -> None:
    model, tokens = gpt_neox(), random_tokens(4, WINDOW)
    together = measure_landscape(model, tokens, TEXTS, CHOSEN)
    alone = measure_landscape(model, tokens[2:3], TEXTS[2:3], CHOSEN, batch_tokens=1)
    np.testing.assert_array_equal(alone.replaced[0], together.replaced[2])
    np.testing.assert_allclose(alone.features[0], together.features[2], atol=1e-5)
    np.testing.assert_allclose(alone.rivals[0], together.rivals[2], atol=1e-5)
    again = measure_landscape(model, tokens, TEXTS, CHOSEN)
    np.testing.assert_array_equal(again.features, together.features)
    assert measure_landscape(model, tokens[:0], [], CHOSEN).features.shape == (0, 15)


def test_a_model_that_is_sure_of_a_token_has_finite_rivals() -> None:
    model, tokens = gpt_neox(), random_tokens(2, WINDOW)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(1e4)
    assert np.isfinite(measure_landscape(model, tokens, TEXTS[:2], CHOSEN).rivals).all()


def test_nothing_is_left_in_the_model_also_after_an_error() -> None:
    model, tokens = gpt_neox(), random_tokens(2, WINDOW)
    with torch.no_grad():
        layers_of(model)[1].mlp.dense_h_to_4h.bias.fill_(torch.nan)
    with pytest.raises(EngramError, match="its logits in float32 contain values that are NaN"):
        measure_landscape(model, tokens, TEXTS[:2], CHOSEN)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("wrong", [{"count": -1}, {"share": 1.1}, {"seed": -3}])
def test_what_cannot_be_drawn_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(EngramError, match=r"(neighbours|share|seed): .*; give a"):
        Neighbourhood(**wrong)

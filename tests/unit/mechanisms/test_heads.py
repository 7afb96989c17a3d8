"""Head ablation: equal to a hooked eager model; planted heads are found, and equal ones are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_mechanisms import SIX, output_projection, slow_head_ablation, slow_head_means
from tiny_models import HEADS, LAYERS, WIDTH, gpt_neox, random_tokens
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.conditions import MEASURES
from engram.mechanisms.heads import ablate_each_head

WINDOW, PREFIX = 14, 8


@pytest.mark.parametrize("architecture", SIX)
def test_ablations_equal_a_hooked_eager_model(architecture: str) -> None:
    model, tokens = SIX[architecture](), random_tokens(2, WINDOW)
    reference = random_tokens(3, WINDOW, seed=9)
    means = slow_head_means(model, reference)
    for operation in ("layer_mean", "remove", "mean"):
        fast = ablate_each_head(model, tokens, PREFIX, operation, reference, 5 * WINDOW)
        assert fast.ablated.shape == (2, LAYERS, HEADS, len(MEASURES))
        for layer in range(LAYERS):
            for head in (0, HEADS - 1):
                expected = slow_head_ablation(model, tokens, PREFIX, layer, head, operation, means)
                np.testing.assert_allclose(
                    fast.ablated[:, layer, head],
                    expected,
                    atol=1e-5,
                    err_msg=f"{operation} {layer} {head}",
                )


def equal_pattern(model: PreTrainedModel, layer: int, head: int) -> None:
    """Give all heads of a layer of GPT-NeoX one attention pattern, and a head the mean value of the
    others: its output is the mean of theirs.
    """
    projection = model.base_model.layers[layer].attention.query_key_value
    with torch.no_grad():
        for parameter in (projection.weight, projection.bias):
            parts = parameter.view(HEADS, 3, WIDTH // HEADS, -1)  # query, key, value
            parts[:, :2] = parts[:1, :2].clone()
            others = torch.arange(HEADS) != head
            parts[head, 2] = parts[others, 2].mean(0)


def test_a_head_that_is_the_mean_of_the_others_has_no_effect() -> None:
    model, tokens = gpt_neox(), random_tokens(4, WINDOW)
    equal_pattern(model, 1, 2)
    effects = ablate_each_head(model, tokens, PREFIX)
    change = np.abs(effects.difference("suffix_log_prob")).max(0)  # (L, H)
    assert change[1, 2] < 1e-5
    others = np.arange(HEADS) != 2
    assert change[1, others].min() > 1e-3
    removed = ablate_each_head(model, tokens, PREFIX, "remove")
    assert np.abs(removed.difference("suffix_log_prob")).max(0)[1, 2] > 1e-3


@pytest.mark.parametrize("operation", ["layer_mean", "remove"])
@pytest.mark.parametrize("architecture", ["gpt_neox", "olmo2"])
def test_the_only_head_that_writes_is_found(architecture: str, operation: str) -> None:
    model, tokens = SIX[architecture](), random_tokens(4, WINDOW)
    size = WIDTH // HEADS
    with torch.no_grad():
        for layer in range(LAYERS):
            weight = output_projection(model, layer).weight  # (width, H·d)
            for head in range(HEADS):
                if (layer, head) != (1, 3):
                    weight[:, head * size : (head + 1) * size] = 0
    effects = ablate_each_head(model, tokens, PREFIX, operation)
    change = np.abs(effects.difference("suffix_log_prob")).max(0)
    assert np.unravel_index(change.argmax(), change.shape) == (1, 3)
    assert np.sort(change.ravel())[-2] < 1e-5 < change.max()


def test_what_cannot_be_done_is_refused() -> None:
    model, tokens = gpt_neox(), random_tokens(1, WINDOW)
    with pytest.raises(EngramError, match="operation: 'zero'; choose remove, mean, layer_mean"):
        ablate_each_head(model, tokens, PREFIX, "zero")
    with pytest.raises(EngramError, match="reference: none; operation='mean' needs texts"):
        ablate_each_head(model, tokens, PREFIX, "mean")

"""Head ablation: equal to a hooked eager model; planted heads are found, and equal ones are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_mechanisms import SIX, output_projection, slow_head_ablation, slow_head_means
from tiny_models import HEADS, LAYERS, WIDTH, gpt_neox, random_tokens
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.conditions import MEASURES
from engram.mechanisms.heads import ablate_each_head
from engram.mechanisms.overlap import top_heads

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


PERIOD, COPIER = 5, (1, 2)


def model_with_a_copying_head() -> PreTrainedModel:
    """A GPT-2 one of whose heads is made by hand: it looks `PERIOD` - 1 tokens back, at the token
    that followed the current one a period ago, and writes that token. All else is small and random.
    """
    words, room, size = 24, 20, 24  # tokens, positions, size of a head
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=words, n_positions=room, n_embd=4 * size, n_layer=3, n_head=4, bos_token_id=0
    )
    model = GPT2LMHeadModel(config).eval()
    layer, head = COPIER
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.02)
        # A token and a position have a dimension of the stream each.
        model.transformer.wte.weight[:, :words] += torch.eye(words)
        model.transformer.wpe.weight[:, words : words + room] += torch.eye(room)
        block = model.transformer.h[layer].attn
        query, key, value = block.c_attn.weight.chunk(3, 1)  # (width, H·d) each
        columns = slice(head * size, (head + 1) * size)
        for matrix in (query, key, value):
            matrix[:, columns] = 0
        for position in range(room):
            key[words + position, head * size + position] = 3
            if position >= PERIOD - 1:
                query[words + position, head * size + position - PERIOD + 1] = 3
        for word in range(words):
            value[word, head * size + word] = 1
            block.c_proj.weight[head * size + word, word] = 3
    return model


@pytest.mark.parametrize("operation", ["layer_mean", "remove"])
def test_a_head_made_to_copy_is_the_top_head(operation: str) -> None:
    model = model_with_a_copying_head()
    period = np.stack([np.random.default_rng(row).permutation(24)[:PERIOD] for row in range(6)])
    tokens = np.tile(period, (1, 3))  # (6, 15)
    effects = ablate_each_head(model, tokens, 2 * PERIOD, operation)
    assert effects.intact[:, 0].all()  # every text is extracted
    assert not effects.ablated[:, *COPIER, 0].any()
    others = np.ones((3, 4), bool)
    others[COPIER] = False
    assert effects.ablated[:, others, 0].all()
    loss = -effects.difference("suffix_log_prob").mean(0)
    assert np.argwhere(top_heads(loss.ravel(), 1)).item() == COPIER[0] * 4 + COPIER[1]


def test_what_cannot_be_done_is_refused() -> None:
    model, tokens = gpt_neox(), random_tokens(1, WINDOW)
    with pytest.raises(EngramError, match="operation: 'zero'; choose remove, mean, layer_mean"):
        ablate_each_head(model, tokens, PREFIX, "zero")
    with pytest.raises(EngramError, match="reference: none; operation='mean' needs texts"):
        ablate_each_head(model, tokens, PREFIX, "mean")

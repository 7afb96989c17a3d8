"""Pooled attention: equal to the eager weights pooled afterwards, on many architectures, and
nothing left behind.
"""

import weakref
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from tiny_models import (
    ARCHITECTURES,
    HEADS,
    LAYERS,
    SPECIAL,
    VOCABULARY,
    gpt_neox,
    llama_grouped,
    random_tokens,
)
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.io.packing import pack, unpack
from engram.lm import attention
from engram.lm.attention import PooledMaps, all_heads, extract, pooled_attention, pooling_heads
from engram.lm.models import in_batches

WINDOW, PREFIX = 16, 8
EVERY = {**ARCHITECTURES, **SPECIAL}


@torch.no_grad()
def eager_weights(
    model: PreTrainedModel, tokens: np.ndarray, **options: torch.Tensor
) -> torch.Tensor:
    """All heads of all layers from the model's own eager attention, (n, L, H, T, T)."""
    if model._can_set_attn_implementation():
        model.set_attn_implementation("eager")
    return torch.stack(
        model(torch.from_numpy(tokens), output_attentions=True, **options).attentions, 1
    )


@pytest.mark.parametrize("architecture", EVERY)
def test_maps_equal_eager_attention_pooled_afterwards(architecture: str) -> None:
    model, tokens = EVERY[architecture](), random_tokens(3, WINDOW)
    mean, highest = pooled_attention(model, tokens)
    weights = eager_weights(model, tokens)
    assert torch.equal(highest, pack(weights.amax(2)))
    torch.testing.assert_close(mean, pack(weights.mean(2)), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_maximum_is_exact_and_mean_is_float32(dtype: torch.dtype) -> None:
    model, tokens = llama_grouped().to(dtype), random_tokens(2, WINDOW)
    mean, highest = pooled_attention(model, tokens)
    weights = eager_weights(model, tokens)
    assert highest.dtype == dtype
    assert torch.equal(highest, pack(weights.amax(2)))
    torch.testing.assert_close(mean, pack(weights.double().mean(2).float()), rtol=1e-6, atol=1e-7)


@torch.no_grad()
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_left_padding_is_masked_as_eager_attention_masks_it(architecture: str) -> None:
    model, tokens = ARCHITECTURES[architecture](), random_tokens(2, WINDOW)
    mask = torch.ones(2, WINDOW, dtype=torch.long)
    mask[0, :5] = 0
    with pooling_heads(model) as maps:
        model(torch.from_numpy(tokens), attention_mask=mask)
    assert torch.equal(
        torch.stack(maps.max, 1), pack(eager_weights(model, tokens, attention_mask=mask).amax(2))
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_mean_maps_are_distributions_over_keys(architecture: str) -> None:
    mean, _ = pooled_attention(ARCHITECTURES[architecture](), random_tokens(2, WINDOW))
    torch.testing.assert_close(unpack(mean).sum(-1), torch.ones(2, LAYERS, WINDOW))


@pytest.mark.parametrize("architecture", EVERY)
def test_all_heads_are_the_eager_ones(architecture: str) -> None:
    model, tokens = EVERY[architecture](), random_tokens(2, WINDOW)
    kept = torch.stack(list(all_heads(model, tokens)))
    # Up to rounding: one sequence at a time against two.
    torch.testing.assert_close(kept, pack(eager_weights(model, tokens)), rtol=1e-4, atol=1e-6)


def test_weights_beyond_a_sliding_window_are_zero() -> None:
    _, highest = pooled_attention(SPECIAL["mistral_sliding_window"](), random_tokens(2, WINDOW))
    outside = (
        torch.ones(WINDOW, WINDOW).tril(-5).bool()
    )  # the window is 5 tokens, the query's own included
    assert unpack(highest)[..., outside].eq(0).all()
    assert unpack(highest)[..., ~outside & torch.ones(WINDOW, WINDOW).tril().bool()].gt(0).all()


def test_attention_sinks_leave_rows_below_one() -> None:
    mean, _ = pooled_attention(SPECIAL["gpt_oss_sinks"](), random_tokens(2, WINDOW))
    assert unpack(mean).sum(-1).lt(1).all()


def test_result_does_not_depend_on_the_batch_budget() -> None:
    model, tokens = gpt_neox(), random_tokens(5, WINDOW)
    for one, other in zip(
        pooled_attention(model, tokens, 1), pooled_attention(model, tokens, 2 * WINDOW), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_weights_of_a_layer_are_released_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    held, add = [], PooledMaps.add

    def watch(self: PooledMaps, weights: torch.Tensor) -> None:
        assert all(reference() is None for reference in held)
        held.append(weakref.ref(weights))
        add(self, weights)

    monkeypatch.setattr(PooledMaps, "add", watch)
    pooled_attention(gpt_neox(), random_tokens(2, WINDOW))
    assert len(held) == LAYERS


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_implementation_is_restored_also_after_an_error(implementation: str) -> None:
    model = gpt_neox()
    model.set_attn_implementation(implementation)
    pooled_attention(model, random_tokens(1, WINDOW))
    assert model.config._attn_implementation == implementation
    with pytest.raises(RuntimeError, match="broken"), pooling_heads(model):
        raise RuntimeError("broken")
    assert model.config._attn_implementation == implementation


def test_forward_after_extraction_is_the_one_before() -> None:
    model, tokens = gpt_neox(), torch.from_numpy(random_tokens(2, WINDOW))
    with torch.no_grad():
        before = model(tokens).logits
        pooled_attention(model, tokens)
        assert torch.equal(model(tokens).logits, before)


def test_maps_can_be_trained_on() -> None:
    _, highest = pooled_attention(gpt_neox(), random_tokens(1, WINDOW))
    scale = torch.ones(1, requires_grad=True)
    (highest * scale).sum().backward()
    torch.testing.assert_close(scale.grad, highest.sum()[None])


def test_memory_error_halves_the_batch_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def as_on_gpu(*arguments: Any) -> Any:
        return in_batches(*arguments[:-1], torch.device("cuda"))

    monkeypatch.setattr(attention, "in_batches", as_on_gpu)
    model, tokens = gpt_neox(), random_tokens(6, WINDOW)
    expected, sizes = pooled_attention(model, tokens), []

    def refuse_large(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        sizes.append(len(inputs[0]))
        if sizes[-1] > 3:
            raise torch.OutOfMemoryError

    model.gpt_neox.embed_in.register_forward_pre_hook(refuse_large)
    for one, other in zip(pooled_attention(model, tokens), expected, strict=True):
        torch.testing.assert_close(one, other)
    assert sizes == [6, 3, 3]


def test_bidirectional_attention_is_refused() -> None:
    model = llama_grouped()
    model.config.is_causal = False
    with pytest.raises(EngramError, match="attends to later tokens"):
        pooled_attention(model, random_tokens(1, WINDOW))


def test_layers_without_softmax_attention_are_refused() -> None:
    config = hf.Lfm2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        layer_types=["conv", "full_attention"],
        block_auto_adjust_ff_dim=False,
    )
    with pytest.raises(EngramError, match="1 of its 2 layers compute softmax attention"):
        pooled_attention(hf.Lfm2ForCausalLM(config).eval(), random_tokens(1, WINDOW))


def test_attention_that_is_no_number_is_refused() -> None:
    model = gpt_neox().half()
    with torch.no_grad():
        model.gpt_neox.layers[0].attention.query_key_value.weight.fill_(6e4)
    with pytest.raises(
        EngramError, match="attention weights in float16 contain values that are NaN or infinite"
    ):
        pooled_attention(model, random_tokens(1, WINDOW))


@torch.no_grad()
@pytest.mark.parametrize(
    "architecture", ["gpt_neox", "gemma2_capped_alternating", "gptj_no_interface"]
)
def test_verification_equals_the_plain_computation(architecture: str) -> None:
    model, tokens = EVERY[architecture](), random_tokens(5, WINDOW)
    for position in range(PREFIX, WINDOW):  # row 0 becomes what the model writes itself
        tokens[0, position] = model(torch.from_numpy(tokens[:1, :position])).logits[0, -1].argmax()
    batches = list(extract(model, tokens, PREFIX, batch_tokens=2 * WINDOW))
    log_probabilities = (
        model(torch.from_numpy(tokens)).logits.log_softmax(-1)[:, PREFIX - 1 : -1].numpy()
    )  # (n, S, V)
    matches = log_probabilities.argmax(-1) == tokens[:, PREFIX:]
    suffix = np.take_along_axis(log_probabilities, tokens[:, PREFIX:, None], -1)[..., 0]
    np.testing.assert_array_equal(
        np.concatenate([batch.extracted for batch in batches]), [True] + 4 * [False]
    )
    np.testing.assert_allclose(
        np.concatenate([batch.matched_fraction for batch in batches]), matches.mean(1), rtol=1e-6
    )
    np.testing.assert_allclose(
        np.concatenate([batch.suffix_log_prob for batch in batches]), suffix.mean(1), rtol=1e-4
    )


def test_extraction_carries_the_same_maps() -> None:
    model, tokens = gpt_neox(), random_tokens(5, WINDOW)
    batches = list(extract(model, tokens, PREFIX, batch_tokens=2 * WINDOW))
    mean, highest = pooled_attention(model, tokens, batch_tokens=2 * WINDOW)
    assert [batch.rows.start for batch in batches] == [0, 2, 4]
    assert {batch.heads for batch in batches} == {HEADS}
    np.testing.assert_array_equal(np.concatenate([batch.mean for batch in batches]), mean)
    np.testing.assert_array_equal(np.concatenate([batch.max for batch in batches]), highest.half())

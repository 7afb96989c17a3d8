"""Feed-forward blocks and neurons removed: equal to hooks by hand, and nothing where none is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_mechanisms import SIX, last_matrix, slow_feed_forward, slow_feed_forward_means
from tiny_models import (
    ARCHITECTURES,
    FURTHER,
    HEADS,
    LAYERS,
    SPECIAL,
    WIDTH,
    gpt_neox,
    random_tokens,
)
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.conditions import Condition
from engram.lm.feed_forward_removal import (
    average_feed_forward,
    feed_forward_hook,
    last_matrices,
    neurons_per_layer,
)
from engram.lm.inputs import begin_with
from engram.lm.interventions import knock_out

WINDOW, PREFIX = 14, 8
MODELS = {**ARCHITECTURES, **SPECIAL, **FURTHER}


def measures(
    model: PreTrainedModel, tokens: np.ndarray, conditions: list[Condition], rows: int = 5
) -> np.ndarray:
    """Measures under every condition, (C, n, 3)."""
    means = average_feed_forward(model, random_tokens(3, WINDOW, seed=9), 40, neurons=True)
    result = np.empty((len(conditions), len(tokens), 3), np.float32)
    for position, values in knock_out(
        model, tokens, PREFIX, conditions, None, rows * WINDOW, means
    ):
        result[position] = values
    return result


def neurons(model: PreTrainedModel, chosen: dict[int, list[int]]) -> np.ndarray:
    mask = np.zeros((LAYERS, neurons_per_layer(model)), bool)
    for layer, which in chosen.items():
        mask[layer, which] = True
    return mask


@pytest.mark.parametrize("operation", ["remove", "mean"])
@pytest.mark.parametrize("architecture", SIX)
def test_removals_equal_hooks_by_hand(architecture: str, operation: str) -> None:
    model, tokens = SIX[architecture](), random_tokens(3, WINDOW)
    means = slow_feed_forward_means(model, random_tokens(3, WINDOW, seed=9))
    blocks = [{0: None}, {2: None}, {0: None, 1: None}]
    inside = [{0: [3, 7]}, {1: [0], 2: [5, 6, 7]}]
    conditions = [
        Condition(),
        *(Condition(operation, blocks=np.isin(np.arange(LAYERS), [*which])) for which in blocks),
        *(Condition(operation, neurons=neurons(model, which)) for which in inside),
    ]
    fast = measures(model, tokens, conditions)
    for position, removed in enumerate([{}, *blocks, *inside]):
        expected = slow_feed_forward(model, tokens, PREFIX, removed, operation, means)
        np.testing.assert_allclose(fast[position], expected, atol=1e-5, err_msg=str(removed))
    assert (np.abs(fast[1:] - fast[0])[..., 2].max(1) > 1e-4).all()


@pytest.mark.parametrize("architecture", SIX)
def test_no_neurons_change_nothing_bit_for_bit(architecture: str) -> None:
    model, tokens = SIX[architecture](), random_tokens(4, WINDOW)
    none, some = neurons(model, {}), neurons(model, {0: [4], 1: [2]})
    for operation in ("remove", "mean"):
        empty = [
            Condition(operation, neurons=none),
            Condition(operation, blocks=np.zeros(LAYERS, bool)),
        ]
        # Batches of the same size, so that only the conditions differ.
        plain = measures(model, tokens, [Condition(), Condition()], rows=8)
        np.testing.assert_array_equal(measures(model, tokens, empty, rows=8), plain)
        # In one batch with rows whose neurons are removed (both begin at the first layer).
        mixed = measures(model, tokens, [empty[0], Condition(operation, neurons=some)], rows=8)
        np.testing.assert_array_equal(mixed[0], plain[0])
        assert np.abs(mixed[1] - plain[0]).max() > 1e-6


def test_attention_and_feed_forward_share_a_run() -> None:
    model, tokens = gpt_neox(), random_tokens(2, WINDOW)
    heads = np.zeros((LAYERS, HEADS), bool)
    heads[0, 1] = True
    conditions = [
        Condition("remove", heads=heads),
        Condition("remove", blocks=np.array([True, False, False])),
        Condition("mean", neurons=neurons(model, {0: [2]})),
    ]
    together = measures(model, tokens, conditions)
    for position, condition in enumerate(conditions):
        alone = measures(model, tokens, [condition])
        np.testing.assert_allclose(together[position], alone[0], atol=1e-5)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "mamba"])
def test_neurons_are_those_of_the_last_matrix_or_are_refused(name: str) -> None:
    model = MODELS[name]()
    if name in ("gpt_oss_sinks", "qwen3_moe", "mixtral") or "moe" in name:
        with pytest.raises(EngramError, match=r"0 of the 3 feed-forward blocks of .* end in one"):
            last_matrices(model)
        return
    assert len({id(matrix) for matrix in last_matrices(model)}) == LAYERS
    seen: list[torch.Size] = []

    def see(_layer: int, values: torch.Tensor) -> torch.Tensor:
        seen.append(values.shape)
        return torch.zeros_like(values)

    tokens, outputs = torch.from_numpy(random_tokens(2, WINDOW)), []
    for edit in ({"neurons": see}, {}):
        with torch.no_grad(), feed_forward_hook(model, 2, **edit):
            outputs.append(model(input_ids=tokens, use_cache=False).logits)
    assert seen == [(2, WINDOW, neurons_per_layer(model))] * LAYERS
    assert seen[0][-1] > WIDTH and not torch.allclose(*outputs)


def test_the_opening_has_means_of_its_own() -> None:
    model, tokens = gpt_neox(), random_tokens(3, WINDOW)
    begin_with(model, (5,))
    means = average_feed_forward(model, tokens, 30, neurons=True)
    assert means.neurons is not None
    assert means.blocks.shape == (LAYERS, WINDOW + 1, WIDTH)
    assert means.neurons.shape == (LAYERS, WINDOW + 1, neurons_per_layer(model))
    whole = slow_feed_forward_means(gpt_neox(), np.insert(tokens, 0, 5, axis=1))
    for fast, slow in zip((means.blocks, means.neurons), whole, strict=True):
        torch.testing.assert_close(fast, torch.stack(slow).float(), atol=1e-5, rtol=1e-5)


def test_no_hook_is_left_also_after_an_error() -> None:
    model, tokens = gpt_neox(), random_tokens(2, WINDOW)
    condition = Condition("remove", neurons=neurons(model, {0: [1]}))
    before = measures(model, tokens, [Condition()])
    with pytest.raises(RuntimeError, match="stop"):

        def fail(_layer: int, _values: torch.Tensor) -> None:
            raise RuntimeError("stop")

        with feed_forward_hook(model, 2, fail, fail):
            model(input_ids=torch.from_numpy(tokens))
    measures(model, tokens, [condition])
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    np.testing.assert_array_equal(measures(model, tokens, [Condition()]), before)


def test_what_cannot_be_done_is_refused() -> None:
    model, tokens = gpt_neox(), random_tokens(2, WINDOW)
    blocks = np.array([True, False, False])
    with pytest.raises(EngramError, match=r"layer_mean is for heads; .* mean for blocks"):
        Condition("layer_mean", blocks=blocks)
    with pytest.raises(EngramError, match="no reference samples to average over"):
        average_feed_forward(model, tokens[:0], 40, neurons=False)
    with pytest.raises(ValueError, match="needs the means of reference samples"):
        list(knock_out(model, tokens, PREFIX, [Condition("mean", blocks=blocks)]))
    only = average_feed_forward(model, tokens, 40, neurons=False)
    condition = Condition("mean", neurons=neurons(model, {0: [1]}))
    with pytest.raises(ValueError, match="needs the means of neurons"):
        list(knock_out(model, tokens, PREFIX, [condition], feed_forward_means=only))
    assert last_matrices(model)[1] is last_matrix(model, 1)

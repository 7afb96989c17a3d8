"""Outputs of feed-forward blocks, averaged: which module they come from, and what is stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import ARCHITECTURES, FURTHER, LAYERS, SPECIAL, WIDTH, gpt_neox, random_tokens

from engram.io.errors import EngramError
from engram.lm.attention_hook import implementation
from engram.lm.feed_forward import feed_forward_blocks, pooled_feed_forward
from engram.lm.inputs import begin_with
from engram.store.hidden_state_writer import write_feed_forward
from engram.store.hidden_states import Layers

MODELS = {**ARCHITECTURES, **SPECIAL, **FURTHER}
PATHS: dict[str, Callable[[Any], list[Any]]] = {
    "gpt_neox": lambda model: [layer.mlp.dense_4h_to_h for layer in model.gpt_neox.layers],
    "llama_grouped": lambda model: [layer.mlp.down_proj for layer in model.model.layers],
    "olmo2": lambda model: [layer.mlp.down_proj for layer in model.model.layers],
    "gpt2": lambda model: [block.mlp.c_proj for block in model.transformer.h],
    "gpt_bigcode": lambda model: [block.mlp.c_proj for block in model.transformer.h],
    "opt": lambda model: [layer.fc2 for layer in model.model.decoder.layers],
    "bloom_no_interface": lambda model: [block.mlp.dense_4h_to_h for block in model.transformer.h],
    "mpt": lambda model: [block.ffn.down_proj for block in model.transformer.blocks],
}
"""The last matrix of every block, by hand."""


@pytest.mark.parametrize("name", PATHS)
def test_outputs_are_those_of_the_last_matrices(name: str) -> None:
    """Against hooks of one eager forward per sample; rows of a batch do not disturb one another."""
    tokens = torch.from_numpy(random_tokens(3, 12))
    found = pooled_feed_forward(MODELS[name](), tokens)
    assert found.shape == (3, LAYERS, WIDTH) and found.std() > 0
    model = MODELS[name]()
    for row in range(3):
        outputs: list[torch.Tensor] = []
        handles = [
            module.register_forward_hook(
                lambda _module, _inputs, output, kept=outputs: kept.append(output)
            )
            for module in PATHS[name](model)
        ]
        with torch.no_grad(), implementation(model, "eager"):
            model(input_ids=tokens[row : row + 1])
        for handle in handles:
            handle.remove()
        expected = torch.stack([output.reshape(12, WIDTH).mean(0) for output in outputs])
        torch.testing.assert_close(found[row], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "mamba"])
def test_every_architecture_has_a_block_in_every_layer(name: str) -> None:
    model = MODELS[name]()
    blocks = feed_forward_blocks(model)
    assert len({id(block) for block in blocks}) == LAYERS
    states = pooled_feed_forward(model, torch.from_numpy(random_tokens(2, 12)))
    assert states.shape[:2] == (2, LAYERS) and states.shape[2] == model.config.hidden_size
    assert not any(block._forward_hooks for block in blocks)


def test_layers_without_a_block_are_refused_in_one_line() -> None:
    with pytest.raises(EngramError) as error:
        pooled_feed_forward(MODELS["mamba"](), torch.from_numpy(random_tokens(2, 12)))
    assert "MambaForCausalLM has feed-forward blocks (mlp, ffn, feed_forward or fc2) in 0 of" in (
        str(error.value)
    )
    assert "\n" not in str(error.value)


def test_the_opening_is_read_and_left_out_of_the_mean() -> None:
    tokens = random_tokens(2, 12)
    model = gpt_neox()
    begin_with(model, (5,))
    found = pooled_feed_forward(model, torch.from_numpy(tokens))
    whole = pooled_feed_forward(gpt_neox(), torch.from_numpy(np.insert(tokens, 0, 5, axis=1)))
    first = pooled_feed_forward(gpt_neox(), torch.full((2, 1), 5))
    torch.testing.assert_close(found, (13 * whole - first) / 12, rtol=1e-4, atol=1e-5)


def test_states_are_stored_and_read_by_layer(tmp_path: Path) -> None:
    tokens = random_tokens(5, 12)
    sequences = pd.DataFrame({"sequence_id": [3, 5, 7, 11, 13], "tokens": list(tokens)})
    write_feed_forward(gpt_neox(), sequences, tmp_path / "states.h5", batch_tokens=24)
    states = pooled_feed_forward(gpt_neox(), torch.from_numpy(tokens)).numpy()
    layers = Layers(tmp_path / "states.h5", np.array([11, 3]), first=1)
    assert list(layers) == [f"layer-{layer}" for layer in range(1, LAYERS + 1)]
    for number, name in enumerate(layers):
        np.testing.assert_allclose(layers[name], states[[3, 0], number], rtol=2e-3, atol=1e-3)

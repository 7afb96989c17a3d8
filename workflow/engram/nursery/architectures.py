"""Small language models with random weights, of the architectures whose families are published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    GPTBigCodeConfig,
    GPTNeoXConfig,
    LlamaConfig,
    Olmo2Config,
    PreTrainedConfig,
    PreTrainedModel,
)

from engram.nursery.settings import ShapeSettings

ROTARY: Mapping[str, Any] = {"rope_type": "default", "rope_theta": 10000.0}


def gpt_neox(shape: ShapeSettings, **common: Any) -> PreTrainedConfig:
    """Return the configuration of Pythia's architecture, rotary on all dimensions."""
    return GPTNeoXConfig(
        **_layers(shape),
        intermediate_size=4 * shape.width,
        rope_parameters={**ROTARY, "partial_rotary_factor": 1.0},
        use_parallel_residual=False,
        **common,
    )


def llama(shape: ShapeSettings, **common: Any) -> PreTrainedConfig:
    """Return the configuration of Llama's and OpenLLaMA's architecture, without grouped queries."""
    return LlamaConfig(**_gated(shape), **common)


def olmo2(shape: ShapeSettings, **common: Any) -> PreTrainedConfig:
    """Return the configuration of OLMo-2's architecture: norms behind the blocks, and on queries
    and keys.
    """
    return Olmo2Config(**_gated(shape), **common)


def gpt_bigcode(shape: ShapeSettings, **common: Any) -> PreTrainedConfig:
    """Return the configuration of StarCoder's architecture: learned positions, one key and value
    for all queries.
    """
    positions = common.pop("max_position_embeddings")
    return GPTBigCodeConfig(
        n_layer=shape.layers,
        n_embd=shape.width,
        n_head=shape.heads,
        n_inner=4 * shape.width,
        n_positions=positions,
        multi_query=True,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        **common,
    )


CONFIGURATIONS: Mapping[str, Callable[..., PreTrainedConfig]] = {
    "gpt_neox": gpt_neox,
    "llama": llama,
    "olmo2": olmo2,
    "gpt_bigcode": gpt_bigcode,
}
"""By the value of `ShapeSettings.architecture`."""


def random_model(
    shape: ShapeSettings, vocabulary: int, positions: int, seed: int
) -> PreTrainedModel:
    """Return a model with random weights, in float32; input and output embeddings are one matrix.

    Args:
        shape: architecture and sizes; not those of the base.
        vocabulary: tokens.
        positions: most tokens of a sequence.
        seed: of the weights.
    """
    torch.manual_seed(seed)
    config = CONFIGURATIONS[shape.architecture](
        shape,
        vocab_size=vocabulary,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=None,
    )
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def _layers(shape: ShapeSettings) -> dict[str, Any]:
    return {
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
    }


def _gated(shape: ShapeSettings) -> dict[str, Any]:
    """Return sizes with gated feed-forward blocks, which have three matrices and are therefore
    narrower by a third.
    """
    inner = 8 * round(shape.width / 3)
    return {**_layers(shape), "intermediate_size": inner, "rope_parameters": dict(ROTARY)}

"""Random-weight models of a few thousand parameters, one per architecture, built from their
configurations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers as hf
from transformers import PreTrainedModel

VOCABULARY, LAYERS, WIDTH, HEADS, CONTEXT = 97, 3, 32, 4, 48


SHAPE = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 2 * WIDTH,
    "max_position_embeddings": CONTEXT,
}


def _drawn_wider(model: PreTrainedModel) -> PreTrainedModel:
    """Draw a model's matrices again, in place: default initial weights are so small that attention
    is nearly uniform and every token nearly as likely.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    return model


def _build(architecture: str, **options: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    config = getattr(hf, f"{architecture}Config")(
        vocab_size=VOCABULARY, bos_token_id=0, eos_token_id=0, pad_token_id=None, **options
    )
    model = getattr(
        hf, f"{architecture}ForCausalLM" if architecture != "GPT2" else "GPT2LMHeadModel"
    )(config).eval()
    return _drawn_wider(model)


def _llama_like(architecture: str, **options: Any) -> Callable[[], PreTrainedModel]:
    return lambda: _build(architecture, **{**SHAPE, **options})


gpt_neox = _llama_like("GPTNeoX", rotary_pct=0.25)
llama_grouped = _llama_like("Llama", num_key_value_heads=2)

ARCHITECTURES: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt_neox": gpt_neox,
    "llama_grouped": llama_grouped,
    "olmo2": _llama_like("Olmo2", num_key_value_heads=2),
    "starcoder2": _llama_like("Starcoder2", num_key_value_heads=2, sliding_window=None),
    "gpt2": lambda: _build("GPT2", n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, n_positions=CONTEXT),
    "qwen3": _llama_like("Qwen3", num_key_value_heads=2, head_dim=8),
    "opt": lambda: _build(
        "OPT",
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        ffn_dim=2 * WIDTH,
        max_position_embeddings=CONTEXT,
        word_embed_proj_dim=WIDTH,
    ),
}
"""Architectures whose attention is a plain causal softmax."""

SPECIAL: dict[str, Callable[[], PreTrainedModel]] = {
    "mistral_sliding_window": _llama_like("Mistral", num_key_value_heads=2, sliding_window=5),
    "gemma2_capped_alternating": _llama_like(
        "Gemma2", num_key_value_heads=2, head_dim=8, sliding_window=5, attn_logit_softcapping=2.0
    ),
    "gpt_oss_sinks": _llama_like(
        "GptOss",
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=5,
        num_local_experts=2,
        num_experts_per_tok=1,
    ),
    "bloom_no_interface": lambda: _build("Bloom", hidden_size=WIDTH, n_layer=LAYERS, n_head=HEADS),
    "gptj_no_interface": lambda: _build(
        "GPTJ", n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, n_positions=CONTEXT, rotary_dim=4
    ),
    "gpt2_upcast": lambda: _build(
        "GPT2",
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        n_positions=CONTEXT,
        reorder_and_upcast_attn=True,
    ),
}
"""Architectures with windows, sinks, capped logits, or attention that passes the registry by."""


def _auto(kind: str, **options: Any) -> Callable[[], PreTrainedModel]:
    """A builder of the causal model that `transformers` has for a kind of configuration."""

    def build() -> PreTrainedModel:
        torch.manual_seed(0)
        special = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0}
        config = hf.AutoConfig.for_model(kind, **special, pad_token_id=None, **options)
        return _drawn_wider(hf.AutoModelForCausalLM.from_config(config).eval())

    return build


def _shaped(kind: str, **options: Any) -> Callable[[], PreTrainedModel]:
    return _auto(kind, **{**SHAPE, **options})


_GROUPED = {"num_key_value_heads": 2}
_EXPERTS = {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": WIDTH}
_SLIDING = {
    "sliding_window": 5,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}

FURTHER: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt_bigcode": _auto(
        "gpt_bigcode",
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        n_positions=CONTEXT,
        multi_query=True,
    ),
    "olmo": _shaped("olmo", **_GROUPED),
    "olmo3": _shaped("olmo3", **_GROUPED, **_SLIDING),
    "gemma": _shaped("gemma", **_GROUPED, head_dim=8),
    "gemma3_text": _shaped("gemma3_text", **_GROUPED, **_SLIDING, head_dim=8),
    "llama_tied": _shaped("llama", tie_word_embeddings=True),
    "qwen2": _shaped("qwen2", **_GROUPED),
    "qwen3_moe": _shaped("qwen3_moe", **_GROUPED, **_EXPERTS, head_dim=8),
    "phi": _shaped("phi", partial_rotary_factor=0.5),
    "phi3": _shaped("phi3", **_GROUPED),
    "mixtral": _shaped("mixtral", **_GROUPED, num_local_experts=2, num_experts_per_tok=1),
    "stablelm": _shaped("stablelm", **_GROUPED),
    "cohere": _shaped("cohere", **_GROUPED),
    "cohere2": _shaped("cohere2", **_GROUPED, **_SLIDING),
    "granite": _shaped("granite", **_GROUPED),
    "smollm3": _shaped("smollm3", **_GROUPED),
    "helium": _shaped("helium", **_GROUPED, head_dim=8),
    "glm": _shaped("glm", **_GROUPED, head_dim=8),
    "glm4": _shaped("glm4", **_GROUPED, head_dim=8),
    "exaone4": _shaped("exaone4", **_GROUPED, **_SLIDING),
    "ernie4_5": _shaped("ernie4_5", **_GROUPED, head_dim=8),
    "seed_oss": _shaped("seed_oss", **_GROUPED, head_dim=8),
    "nemotron": _shaped("nemotron", **_GROUPED),
    "persimmon": _shaped("persimmon"),
    "biogpt": _shaped("biogpt"),
    "falcon": _shaped("falcon", multi_query=True),
    "gpt_neo": _auto(
        "gpt_neo",
        hidden_size=WIDTH,
        num_layers=LAYERS,
        num_heads=HEADS,
        attention_types=[[["global", "local", "global"], 1]],
        window_size=5,
        max_position_embeddings=CONTEXT,
    ),
    "mpt": _auto("mpt", d_model=WIDTH, n_layers=LAYERS, n_heads=HEADS, max_seq_len=CONTEXT),
    "codegen": _auto(
        "codegen",
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        n_positions=CONTEXT,
        n_ctx=CONTEXT,
        rotary_dim=4,
    ),
    "mamba": _auto("mamba", hidden_size=WIDTH, num_hidden_layers=LAYERS, state_size=4),
    "lfm2": _shaped(
        "lfm2",
        **_GROUPED,
        layer_types=["conv", "full_attention", "conv"],
        block_auto_adjust_ff_dim=False,
    ),
}
"""Further architectures, and two that compute no softmax attention in some layers."""

EVERY = {**ARCHITECTURES, **SPECIAL, **FURTHER}

WITH_INTERFACE = [
    name
    for name in EVERY
    if name not in ("mamba", "lfm2", "bloom_no_interface", "gptj_no_interface", "gpt2_upcast")
    and name not in ("falcon", "gpt_neo", "mpt", "codegen")
]
"""Those whose attention can be exchanged, in every layer."""


def random_tokens(rows: int, window: int, seed: int = 0) -> np.ndarray:
    """Tokens (rows, window) without the end-of-text token 0."""
    return np.random.default_rng(seed).integers(1, VOCABULARY, (rows, window))


def lengthened(model: PreTrainedModel, context: int) -> PreTrainedModel:
    """A model of the same architecture that reads windows of `context` tokens."""
    config = model.config
    config.max_position_embeddings = context
    torch.manual_seed(0)
    return _drawn_wider(type(model)(config).eval())

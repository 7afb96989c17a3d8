"""A GGUF file of a few kilobytes: a Llama of random weights with a byte-level tokenizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from transformers.convert_slow_tokenizer import bytes_to_unicode

LAYERS, HEADS, WIDTH, INNER, CONTEXT = 2, 2, 32, 64, 64
SPECIAL = ["<s>", "</s>"]
TOKENS = [*SPECIAL, *bytes_to_unicode().values(), "th"]
"""Two special tokens, a token per byte, and one of two bytes."""


def write_gguf(
    path: Path,
    bos: bool = True,
    kind: GGMLQuantizationType = GGMLQuantizationType.Q8_0,
    architecture: str = "llama",
    seed: int = 0,
) -> Path:
    """Write the file, its matrices quantized; `bos`: whether a text begins with `<s>`."""
    writer = GGUFWriter(str(path), architecture)
    writer.add_name("tiny")
    writer.add_license("apache-2.0")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(TOKENS) - len(SPECIAL)))
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(bos)
    draw = np.random.default_rng(seed)
    for name, shape in _shapes().items():
        if len(shape) == 1:
            writer.add_tensor(name, np.ones(shape, np.float32))
            continue
        values = draw.normal(0, 0.3, shape).astype(np.float32)
        writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (len(TOKENS), WIDTH),
        "output.weight": (len(TOKENS), WIDTH),
        "output_norm.weight": (WIDTH,),
    }
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        shapes |= {f"{block}.{name}.weight": (WIDTH,) for name in ("attn_norm", "ffn_norm")}
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            shapes[f"{block}.{name}.weight"] = (WIDTH, WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            shapes[f"{block}.{name}.weight"] = (INNER, WIDTH)
        shapes[f"{block}.ffn_down.weight"] = (WIDTH, INNER)
    return shapes

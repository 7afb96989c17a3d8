"""What the configuration of a checkpoint says, checked before any work begins.

Libraries raise what they like for a checkpoint that they cannot use. Here each becomes one line
that names the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
)

from engram.io.errors import EngramError, boundary
from engram.io.pointers import refuse_pointers
from engram.lm.attention_hook import eager_attention, has_interface
from engram.lm.gguf import ADVICE, is_gguf, located

PLAIN_ATTENTION = ("eager", "sdpa")
"""Implementations of attention that run wherever torch does."""
NO_SOFTMAX = ("linear_attention", "conv", "mamba", "mamba2", "recurrent", "hyena", "gated_delta")
"""Kinds of layers, as `layer_types` names them, that compute no softmax attention."""
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
"""Files of which a tokenizer needs one."""


def read_config(path_or_repo: str | Path, revision: str | None = None) -> PreTrainedConfig:
    """Return the configuration of a model that can be studied.

    An implementation of attention that the checkpoint names and that needs more than torch (flash
    attention) is left to torch: the values are the same up to rounding.

    Args:
        path_or_repo: a folder with `config.json`, a GGUF file, or a repository on the hub.
        revision: branch, tag or commit on the hub.

    Raises:
        EngramError: no usable configuration, quantized weights, an architecture that is unknown,
            brings its own code or models no text from left to right, or layers without softmax
            attention; names the file.
    """
    folder = Path(path_or_repo)
    file = f"model {path_or_repo}: its config.json"
    advice = "give the folder that `save_pretrained` wrote"
    if folder.is_dir():
        _check_plain(_values(folder / "config.json"), file)
    if is_gguf(path_or_repo):
        file, advice = f"model {path_or_repo}: its header", ADVICE
    location, options = located(path_or_repo)
    with boundary(f"{file} cannot be used", advice):
        config = AutoConfig.from_pretrained(
            location, revision=revision or "main", trust_remote_code=False, **options
        )
        text = config.get_text_config()
        numbers = {key: getattr(text, key) for key in ("vocab_size", "num_hidden_layers")}
    for key, value in numbers.items():
        if not isinstance(value, int) or value < 1:
            raise EngramError(f"{file} has {key} {value!r}; it must be a number of 1 or more")
    kinds = set(getattr(text, "layer_types", None) or ())
    if other := sorted(kind for kind in kinds if kind in NO_SOFTMAX):
        raise EngramError(
            f"{file} names layers of the kind {other[0]}, which compute no softmax attention; "
            f"choose a model in which all layers do"
        )
    if getattr(config, "quantization_config", None):
        _refuse_quantized(config.quantization_config, file)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise EngramError(
            f"{file} is of the kind {config.model_type}, which is not a causal language model; "
            f"only these can be studied"
        )
    architecture: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    # Older architectures choose their attention once, while they are built.
    if not architecture._can_set_attn_implementation():
        config._attn_implementation_internal = "eager"
    elif config._attn_implementation_internal not in (None, *PLAIN_ATTENTION):
        config._attn_implementation_internal = None
    return config


def check_folder(folder: Path) -> None:
    """Check all that can be checked of a model's folder without loading its weights.

    Raises:
        EngramError: as `read_config`; a Git LFS pointer; weights that are not whole; an
            architecture that cannot be built as configured, or whose attention cannot be seen.
    """
    config = read_config(folder)
    refuse_pointers(sorted(folder.glob("*")))
    advice = "correct the file, or give another model"
    with (
        boundary(f"model {folder}: cannot be built from its config.json", advice),
        torch.device("meta"),
    ):
        model = AutoModelForCausalLM.from_config(config)
    _check_attention(model, folder)


def _values(path: Path) -> dict[str, Any]:
    """Return what a config.json holds."""
    refuse_pointers([path])
    with boundary(f"{path}: cannot be read", "give the folder that `save_pretrained` wrote"):
        values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise EngramError(f"{path}: not an object of keys; copy it again")
    return values


def _check_plain(values: dict[str, Any], file: str) -> None:
    """Refuse what transformers would ask further packages or foreign code for."""
    if values.get("quantization_config"):
        _refuse_quantized(values["quantization_config"], file)
    if values.get("auto_map") and values.get("model_type") not in _known_kinds():
        raise EngramError(
            f"{file} cannot be used: the checkpoint brings its own code, which is never run; give "
            f"a model whose architecture transformers has"
        )


def _refuse_quantized(found: Any, file: str) -> None:
    method = found.get("quant_method") if isinstance(found, dict) else None
    method = method or getattr(found, "quant_method", None) or "an unknown method"
    raise EngramError(
        f"{file} says that the weights are quantized ({method}); give the checkpoint in float32, "
        f"bfloat16 or float16"
    )


def _known_kinds() -> set[str]:
    return {config.model_type for config in MODEL_FOR_CAUSAL_LM_MAPPING}


def _check_attention(model: PreTrainedModel, folder: Path) -> None:
    """Refuse a model in which no module computes attention that can be seen."""
    found = [module for module in model.modules() if "Attention" in type(module).__name__]
    name = f"model {folder}: {type(model).__name__}"
    if not found:
        raise EngramError(
            f"{name} computes no softmax attention; choose a model in which all layers do"
        )
    if has_interface(model) and not any(map(_is_seen, found)):
        raise EngramError(
            f"{name} has no eager attention function, so its weights cannot be seen; choose "
            f"another architecture"
        )


def _is_seen(module: nn.Module) -> bool:
    try:
        eager_attention(module)
    except EngramError:
        return False
    return True

"""The attack on the prefix's embeddings by a slow, separate implementation: one text at a time,
heads removed by hooks on modules, Adam written out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from slow_mechanisms import hooks, measures_of, output_projection
from torch import nn
from transformers import PreTrainedModel


def silencing(model: PreTrainedModel, heads: list[tuple[int, int]]) -> list[Any]:
    """Handles of hooks that set outputs of heads (layer, head), from 0, to 0."""
    count = model.config.num_attention_heads

    def edit_of(silent: list[int]) -> Any:
        def edit(_module: nn.Module, arguments: Any) -> Any:
            parts = list(arguments[0].chunk(count, -1))
            for head in silent:
                parts[head] = torch.zeros_like(parts[head])
            return (torch.cat(parts, -1),)

        return edit

    layers = sorted({layer for layer, _ in heads})
    return [
        output_projection(model, layer).register_forward_pre_hook(
            edit_of([head for where, head in heads if where == layer])
        )
        for layer in layers
    ]


def slow_attack(
    model: PreTrainedModel,
    row: np.ndarray,
    prefix: int,
    heads: list[tuple[int, int]],
    steps: int,
    rate: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Measures (steps + 1, 3) and last embeddings (prefix, width) of one text (T,)."""
    sample = torch.from_numpy(row)
    model.set_attn_implementation("eager")
    words = model.get_input_embeddings().weight.detach()
    moved = words[sample[:prefix]].clone().double()
    mean, square = torch.zeros_like(moved), torch.zeros_like(moved)
    rows = []
    with hooks(silencing(model, heads)):
        for step in range(1, steps + 2):
            leaf = moved.clone().requires_grad_()
            embedded = torch.cat([leaf.float(), words[sample[prefix:]]])[None]
            logits = model(inputs_embeds=embedded, use_cache=False).logits[0]
            rows.append(measures_of(logits.detach(), sample, prefix))
            if step > steps:
                break
            loss = sum(
                -logits[position].log_softmax(-1)[sample[position + 1]]
                for position in range(prefix - 1, len(row) - 1)
            ) / (len(row) - prefix)
            loss.backward()
            mean = 0.9 * mean + 0.1 * leaf.grad
            square = 0.999 * square + 0.001 * leaf.grad**2
            root = (square / (1 - 0.999**step)).sqrt() + 1e-8
            moved = moved - rate * mean / (1 - 0.9**step) / root
    model.zero_grad()
    return np.array(rows), moved.numpy()

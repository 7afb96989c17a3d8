"""Knock-outs by a slow, separate implementation: one sample at a time, in float64, with the softmax
and the sum over values written out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from engram.io.packing import unpack
from engram.lm.conditions import Condition


def softmax(scores: torch.Tensor) -> torch.Tensor:
    """Over the keys that are not masked, float64; 0 where all are."""
    scores = scores.double()
    seen = scores > torch.finfo(torch.float32).min / 2
    powers = torch.where(
        seen, (scores - scores.where(seen, -torch.inf).amax(-1, keepdim=True)).exp(), 0.0
    )
    return powers / powers.sum(-1, keepdim=True).clamp(min=1e-300)


@contextmanager
def hooked(model: PreTrainedModel, change: Any) -> Iterator[None]:
    """`change(layer, stage, values)` edits what the eager attention of one sample has at three
    stages: scores (H, T, keys), which may have a sink as last key, weights (H, T, T), and outputs
    (H, T, d)."""
    model.set_attn_implementation("eager")
    modules = [module for module in model.modules() if type(module).__name__.endswith("Attention")]
    home = next(
        sys.modules[parent.__module__]
        for parent in type(modules[0]).__mro__
        if hasattr(sys.modules[parent.__module__], "eager_attention_forward")
    )
    original = home.eager_attention_forward

    def attention(
        module: Any, query: Any, key: Any, value: Any, mask: Any, *rest: Any, **options: Any
    ) -> Any:
        layer = modules.index(module)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                torch.nn.functional,
                "softmax",
                lambda scores, **_: softmax(change(layer, "scores", scores[0])).float()[None],
            )
            _, weights = original(module, query, key, value, mask, *rest, **options)
        new = change(layer, "weights", weights[0].double())  # (H, T, T)
        outputs = []
        for head in range(weights.shape[1]):
            shared = value[0, head * value.shape[1] // weights.shape[1]].double()  # (T, d)
            outputs.append(new[head] @ shared)
        output = change(layer, "outputs", torch.stack(outputs))  # (H, T, d)
        return output.float().transpose(0, 1)[None].contiguous(), weights

    home.eager_attention_forward = attention
    try:
        yield
    finally:
        home.eager_attention_forward = original


def without(cells: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Scores with the cells (T, T) masked; a sink stays."""
    masked = scores.clone()
    masked[:, :, : cells.shape[1]] = masked[:, :, : cells.shape[1]].masked_fill(
        cells, torch.finfo(torch.float32).min
    )
    return masked


@torch.no_grad()
def slow(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    condition: Condition,
    means: Any = None,
) -> np.ndarray:
    """Measures (n, 3), one sample at a time."""

    def change(layer: int, stage: str, values: torch.Tensor) -> torch.Tensor:
        if condition.cells is not None:
            cells = torch.from_numpy(unpack(condition.cells[layer].astype(float)) > 0)  # (T, T)
            if condition.operation == "mean":
                return torch.where(cells, means[0][layer], values) if stage == "weights" else values
            return without(cells, values) if stage == "scores" else values
        if stage == "outputs" and condition.operation == "layer_mean":
            kept = [values[head].clone() for head in np.flatnonzero(~condition.heads[layer])]
            for head in np.flatnonzero(condition.heads[layer]):
                values[head] = sum(kept) / len(kept)
        elif stage == "outputs" and condition.heads is not None:
            for head in np.flatnonzero(condition.heads[layer]):
                values[head] = means[1][layer][head] if condition.operation == "mean" else 0
        return values

    rows = []
    with hooked(model, change):
        for sample in torch.from_numpy(tokens):
            logits = model(sample[None]).logits[0, prefix - 1 : -1]
            right = logits.argmax(-1) == sample[prefix:]
            log_probabilities = logits.log_softmax(-1)[
                torch.arange(len(sample) - prefix), sample[prefix:]
            ]
            rows.append(
                [float(right.all()), float(right.float().mean()), float(log_probabilities.mean())]
            )
    return np.array(rows)


@torch.no_grad()
def slow_means(model: PreTrainedModel, tokens: np.ndarray) -> tuple[list[torch.Tensor], ...]:
    """Mean weights (H, T, T) and outputs (H, T, d) per layer."""
    seen: dict[tuple[int, str], list[torch.Tensor]] = {}
    layers = model.config.get_text_config().num_hidden_layers

    def change(layer: int, stage: str, values: torch.Tensor) -> torch.Tensor:
        seen.setdefault((layer, stage), []).append(values.clone())
        return values

    with hooked(model, change):
        for sample in torch.from_numpy(tokens):
            model(sample[None])
    return tuple(
        [torch.stack(seen[layer, stage]).mean(0) for layer in range(layers)]
        for stage in ("weights", "outputs")
    )

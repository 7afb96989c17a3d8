"""Steering by a slow, separate implementation: one sample and one token at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from slow_mechanisms import measures_of, states_of
from transformers import PreTrainedModel


def slow_probe(
    states: np.ndarray, recalled: np.ndarray, strength: float
) -> tuple[np.ndarray, float]:
    """Weight (width,) and bias of the penalized logistic regression, by Newton's method.

    The penalty is that of two classes with a weight each, which share the difference: a quarter of
    λ · Σ w².
    """
    places, width = states.shape[1:]
    features = states.reshape(-1, width).astype(np.float64)
    label = np.repeat(recalled, places).astype(np.float64)
    mean, scale = features.mean(0), features.std(0)
    scale = np.where(scale == 0, 1, scale)
    design = np.concatenate([(features - mean) / scale, np.ones((len(features), 1))], 1)
    penalty = np.full(width + 1, strength / 2)
    penalty[-1] = 0
    weight = np.zeros(width + 1)
    for _ in range(200):
        chance = 1 / (1 + np.exp(-design @ weight))
        gradient = design.T @ (chance - label) / len(label) + penalty * weight
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design / len(label)
        weight -= np.linalg.solve(curvature + np.diag(penalty), gradient)
    raw = weight[:-1] / scale
    return raw, float(weight[-1] - raw @ mean)


def steering_of(depth: int, prefix: int, weight: Any, bias: float, vector: Any, step: float) -> Any:
    """What changes the states (T, width) of one sample: h − step·σ(w·h + b)·v̂, from the last token
    of the prefix to the last but one of the sample.
    """

    def edit(reached: int, state: torch.Tensor) -> torch.Tensor:
        if reached != depth:
            return state
        changed = state.double().numpy().copy()
        for position in range(prefix - 1, len(changed) - 1):
            logit = changed[position] @ np.asarray(weight, np.float64) + bias
            changed[position] -= step / (1 + np.exp(-logit)) * np.asarray(vector, np.float64)
        return torch.from_numpy(changed).float()

    return edit


@torch.no_grad()
def slow_steering(model: PreTrainedModel, tokens: np.ndarray, prefix: int, edit: Any) -> np.ndarray:
    """Measures (n, 3) of samples under an edit."""
    rows = []
    for row in tokens:
        sample = torch.from_numpy(row)
        rows.append(measures_of(states_of(model, sample, edit)[1], sample, prefix))
    return np.array(rows)


@torch.no_grad()
def decode_steered(
    model: PreTrainedModel, context: np.ndarray, count: int, edit_of: Any
) -> list[int]:
    """What greedy decoding writes while states from the last context token on are edited, token by
    token without a cache; `edit_of(length)` edits a sample of that length.
    """
    tokens = [*map(int, context)]
    for _ in range(count):
        # The last token counts as one that predicts, so a stand-in follows it.
        sample = torch.tensor([*tokens, 0])
        logits = states_of(model, sample, edit_of(len(sample)))[1]
        tokens.append(int(logits[-2].argmax()))
    return tokens[len(context) :]

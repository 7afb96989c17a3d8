"""Attention heads, ablated one at a time: what each is worth to a text.

(P) A head's output becomes the mean of the layer's other heads, before the output projection; the
20 % of heads that matter most, and the overlap of these sets (Chen, Han and Miyao,
arXiv 2603.21658). (U) Two further operations, effects on log-probabilities, the overlap that chance
gives (`engram.mechanisms.overlap`), intervals. Operations are those of `engram.lm.interventions`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedModel

from engram.knockout.kept_conditions import measure_conditions
from engram.lm.conditions import (
    HEAD_OPERATIONS,
    MEASURES,
    Condition,
    check_operation,
    differences,
)
from engram.lm.interventions import average
from engram.lm.kept_batches import Kept


@dataclass(frozen=True)
class HeadEffects:
    """What a model reproduces of n sequences without each of its heads."""

    intact: np.ndarray
    """Measures of the intact model, float32 (n, 3), in the order of
    `engram.lm.conditions.MEASURES`."""
    ablated: np.ndarray
    """Measures without head (l, h), float32 (n, L, H, 3)."""

    def differences(self) -> dict[str, np.ndarray]:
        """Return `<measure>_difference`, without each head minus intact, float64 (n, L, H) each:
        negative for a loss.
        """
        return differences(self.intact, self.ablated)

    def difference(self, measure: str) -> np.ndarray:
        """Return the difference of one measure, float64 (n, L, H)."""
        return self.differences()[f"{measure}_difference"]


def ablate_each_head(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    operation: str = "layer_mean",
    reference: np.ndarray | None = None,
    batch_tokens: int = 8192,
    kept: Kept | None = None,
) -> HeadEffects:
    """Measure a model without each of its heads, one at a time.

    Args:
        model: the model.
        tokens: (n, T); the first `prefix` are the prompt, the others what is to be reproduced.
        prefix: tokens of the prompt.
        operation: `layer_mean`, `remove` (the head puts out 0) or `mean` (its mean over reference
            sequences).
        reference: (m, T), for `mean`; best not the same sequences.
        batch_tokens: tokens per forward.
        kept: where what is finished is kept; None keeps nothing.

    Raises:
        EngramError: an unknown operation, `mean` without reference, one head per layer with
            `layer_mean`, or as `engram.lm.interventions.knock_out`.
    """
    check_operation(operation, HEAD_OPERATIONS, reference)
    config = model.config.get_text_config()
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    each = np.eye(layers * heads, dtype=bool).reshape(-1, layers, heads)
    conditions = [Condition(), *(Condition(operation, heads=head) for head in each)]
    means = (
        average(model, reference, batch_tokens)
        if operation == "mean" and reference is not None
        else None
    )
    measures = measure_conditions(model, tokens, prefix, conditions, means, batch_tokens, kept)
    ablated = measures[1:].swapaxes(0, 1).reshape(len(tokens), layers, heads, len(MEASURES))
    return HeadEffects(measures[0], ablated)

"""Hidden states of a language model, averaged over the tokens of a sequence."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from engram.lm.finite import check_finite
from engram.lm.inputs import model_input


def pooled_states(model: PreTrainedModel, tokens: torch.Tensor) -> torch.Tensor:
    """Return the mean over a window's tokens of the embeddings and of every layer's output,
    (b, L + 1, d) float32.

    Args:
        tokens: windows (b, T) on the model's device; every token is attended to. The model's
            opening is read and left out of the mean: its states are the same for every window, and
            often larger than all others.

    Raises:
        EngramError: a value is not finite.
    """
    read = model_input(model, tokens)  # (b, B + T)
    first = read.shape[1] - tokens.shape[1]
    with torch.no_grad():
        output = model.base_model(
            input_ids=read,
            attention_mask=torch.ones_like(read),
            use_cache=False,
            output_hidden_states=True,
        )
    means = [states[:, first:].mean(1, dtype=torch.float32) for states in output.hidden_states]
    pooled = torch.stack(means, 1)  # (b, L + 1, d)
    check_finite(model, pooled, "hidden states")
    return pooled

"""Hidden states of a language model, averaged over the tokens of a sequence."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from engram.lm.finite import check_finite


def pooled_states(model: PreTrainedModel, tokens: torch.Tensor) -> torch.Tensor:
    """Return the mean over the tokens of the embeddings and of every layer's output, (b, L + 1, d)
    float32.

    Args:
        tokens: (b, T) on the model's device; every token is attended to.

    Raises:
        EngramError: a value is not finite.
    """
    with torch.no_grad():
        output = model.base_model(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            use_cache=False,
            output_hidden_states=True,
        )
    means = [states.mean(1, dtype=torch.float32) for states in output.hidden_states]
    pooled = torch.stack(means, 1)  # (b, L + 1, d)
    check_finite(model, pooled, "hidden states")
    return pooled

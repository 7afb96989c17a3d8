"""How predictable a suffix is for a model: what a rival sees that knows nothing of the model but
its probabilities."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from engram.lm.generation import BATCH_TOKENS
from engram.lm.models import in_batches, suffix_logits, token_scores

PREDICTABILITY = (
    "suffix_log_prob",
    "mean_token_prob",
    "least_token_log_prob",
    "predictive_entropy",
)
"""Columns of `suffix_predictability`."""
_POSITIONS = 8
"""Positions whose probabilities are held in float32 at a time."""


def suffix_predictability(
    model: PreTrainedModel, tokens: np.ndarray, prefix: int, batch_tokens: int = BATCH_TOKENS
) -> pd.DataFrame:
    """Return how predictable the suffix of every window is, from one forward each.

    Args:
        model: the model that is studied.
        tokens: windows (n, T).
        prefix: tokens of the prompt.
        batch_tokens: tokens per batch; it changes nothing but rounding.

    Returns:
        one row per window, float64, over the suffix's tokens under teacher forcing:
        `suffix_log_prob`, mean log-probability in nats; `mean_token_prob`, mean probability;
        `least_token_log_prob`, the least log-probability; `predictive_entropy`, the mean entropy in
        nats of the model's distribution over the next token.
    """
    windows = torch.as_tensor(tokens)

    @torch.inference_mode()
    def run(part: slice) -> np.ndarray:
        batch = windows[part].to(model.device, torch.long)  # (b, T)
        logits, _ = suffix_logits(model, batch, prefix)  # (b, S, V)
        log_probs = token_scores(model, logits, batch[:, prefix:])[1]  # (b, S)
        entropy = [_entropy(piece) for piece in logits.flatten(0, 1).split(_POSITIONS)]
        both = [log_probs, torch.cat(entropy).view_as(log_probs)]
        return torch.stack(both, 1).cpu().numpy()  # (b, 2, S)

    rows = max(1, batch_tokens // windows.shape[1])
    parts = in_batches(run, len(windows), rows, "predictability", model.device)
    suffix = windows.shape[1] - prefix
    empty = np.empty((0, 2, suffix), np.float32)
    values = np.concatenate([empty, *(part for _, part in parts)]).astype(np.float64)
    log_probs = values[:, 0]
    columns = (
        log_probs.mean(axis=1),
        np.exp(log_probs).mean(axis=1),
        log_probs.min(axis=1),
        values[:, 1].mean(axis=1),
    )
    return pd.DataFrame(dict(zip(PREDICTABILITY, columns, strict=True)))


def _entropy(logits: torch.Tensor) -> torch.Tensor:
    """Return the entropy of softmax(logits) over the last axis in nats, (n, V) -> (n,) float32."""
    log_probs = logits.float().log_softmax(-1)
    return torch.special.entr(log_probs.exp()).sum(-1)

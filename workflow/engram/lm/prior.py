"""How likely a model finds a suffix after its own prefix, and after prefixes that have nothing to
do with it.

Much of what a model extracts is text that it would find likely anywhere. Its *prior* is the
probability of the suffix after unrelated prefixes; the log-ratio of the two says what the window's
own prefix adds (prior-aware memorization, arXiv 2602.18733). The probability of the suffix after
its own prefix is p_z, that of writing it by sampling at temperature 1 (arXiv 2410.19482)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from scipy.special import logsumexp
from transformers import PreTrainedModel

from engram.lm.generation import BATCH_TOKENS
from engram.lm.models import in_batches, suffix_logits, token_scores

PRIOR_COLUMNS = (
    "log_p_z",
    "mean_token_prob",
    "least_token_log_prob",
    "prior_log_prob",
    "log_prior_ratio",
)
"""Columns of `prior_scores`."""


def prior_scores(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    unrelated: np.ndarray,
    batch_tokens: int = BATCH_TOKENS,
) -> pd.DataFrame:
    """Return how likely every suffix is after its own prefix and after unrelated ones.

    One forward gives the first three columns, one per unrelated prefix the prior.

    Args:
        model: the model that is studied.
        tokens: windows (n, T).
        prefix: tokens of the prompt.
        unrelated: K prefixes for every window, (n, K, prefix), for instance those of
            `engram.windows.unrelated`.
        batch_tokens: tokens per batch; it changes nothing but rounding.

    Returns:
        one row per window, float64: `log_p_z`, log p(suffix | own prefix) in nats, the sum over
        the suffix's tokens; `mean_token_prob` and `least_token_log_prob`, the mean probability and
        the least log-probability (nats) of these tokens; `prior_log_prob`, the logarithm of the
        mean of p(suffix | unrelated prefix) over the K prefixes, in nats; `log_prior_ratio`,
        `log_p_z` minus that.
    """
    windows, others = torch.as_tensor(tokens), torch.as_tensor(unrelated)
    count, reads = len(windows), others.shape[1] + 1

    @torch.inference_mode()
    def run(part: slice) -> np.ndarray:
        place = torch.arange(part.start, part.stop)
        row, number = place // reads, place % reads  # the first read of a window is its own
        batch = windows[row].to(torch.long)  # (b, T)
        other = number > 0
        batch[other, :prefix] = others[row[other], number[other] - 1].to(torch.long)
        batch = batch.to(model.device)
        logits, _ = suffix_logits(model, batch, prefix)  # (b, S, V)
        return token_scores(model, logits, batch[:, prefix:])[1].cpu().numpy()  # (b, S)

    rows = max(1, batch_tokens // windows.shape[1])
    parts = in_batches(run, count * reads, rows, "unrelated prefixes", model.device)
    suffix = windows.shape[1] - prefix
    log_probs = np.concatenate([np.empty((0, suffix), np.float32), *(part for _, part in parts)])
    by_read = log_probs.reshape(count, reads, suffix).astype(np.float64)
    whole = by_read.sum(axis=2)  # (n, 1 + K)
    prior = logsumexp(whole[:, 1:], axis=1) - np.log(reads - 1)
    own = by_read[:, 0]
    return pd.DataFrame(
        {
            "log_p_z": whole[:, 0],
            "mean_token_prob": np.exp(own).mean(axis=1),
            "least_token_log_prob": own.min(axis=1),
            "prior_log_prob": prior,
            "log_prior_ratio": whole[:, 0] - prior,
        }
    )

"""The measures of windows: how likely each is to come out of the model, and its class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from engram.taxonomy.taxonomy import Taxonomy

COLUMNS = (
    "extracted",
    "matched_fraction",
    "longest_match",
    "rouge_l",
    "rouge_3",
    "is_repeating",
    "is_incrementing",
    "is_code",
    "sequence_duplicates",
    "prior_log_prob",
    "log_prior_ratio",
)
"""Labels that the table of windows takes over."""


def log_p_z(token_log_probs: Sequence[np.ndarray]) -> np.ndarray:
    """Return log p_z of each suffix, nats, float64 (n,): the sum of the log-probabilities of its
    tokens, each given the true ones before it (arXiv 2505.12546).

    exp of it is the probability that one sample at temperature 1, from the whole vocabulary, is
    exactly the suffix.

    Args:
        token_log_probs: float (n, S), or n arrays (S,).
    """
    return np.stack(list(token_log_probs)).astype(np.float64).sum(1)


def smallest_n(log_p: np.ndarray, p: float) -> np.ndarray:
    """Return the least number n of samples for which a suffix is (n, p)-discoverable, float64:
    1 − (1 − p_z)^n ≥ p (arXiv 2410.19482, section 3).

    Computed from log p_z, since p_z itself is often too small for a float; infinite where n is
    beyond the floats.

    Args:
        log_p: log p_z in nats, at most 0, of any shape.
        p: the probability that at least one of the samples is the suffix, between 0 and 1.
    """
    log_p = np.minimum(np.asarray(log_p, np.float64), 0.0)
    with np.errstate(divide="ignore", over="ignore"):
        # −log(1 − p_z); for small p_z that is p_z itself, here as its logarithm.
        rate = np.where(log_p < -30, log_p, np.log(-np.log1p(-np.exp(np.maximum(log_p, -30)))))
        exact = np.exp(np.log(-np.log1p(-p)) - rate)
    # Rounding may not make an n of a quotient that is an integer but for its last bits.
    return np.maximum(1.0, np.ceil(exact * (1 - 1e-12)))


def n_column(p: float) -> str:
    """Return the name of the column of `smallest_n` for a probability, e.g. `n_0.5`."""
    return f"n_{p:g}"


def measure(
    windows: pd.DataFrame,
    labels: pd.DataFrame,
    taxonomy: Taxonomy,
    probabilities: Sequence[float],
) -> pd.DataFrame:
    """Return the table of windows.

    Args:
        windows: candidates with sequence_id, document, offset and token_log_probs.
        labels: of the same windows in the same order.
        taxonomy: gives the windows that the model reproduces their class.
        probabilities: p of `smallest_n`.

    Returns:
        document, offset (tokens from the document's beginning to the window's), sequence_id,
        log_p_z (nats), p_z, `n_<p>` for each probability, class, and the columns of `COLUMNS` that
        the labels have.
    """
    log_p = log_p_z(windows["token_log_probs"].tolist())  # (n,)
    classes = taxonomy.assign(labels.assign(memorization_score=labels["extracted"].astype(float)))
    return pd.DataFrame(
        {
            "document": windows["document"].to_numpy(),
            "offset": windows["offset"].to_numpy(),
            "sequence_id": windows["sequence_id"].to_numpy(),
            "log_p_z": log_p,
            "p_z": np.exp(log_p),
            **{n_column(p): smallest_n(log_p, p) for p in probabilities},
            "class": classes.to_numpy(),
            **{name: labels[name].to_numpy() for name in COLUMNS if name in labels},
        }
    )

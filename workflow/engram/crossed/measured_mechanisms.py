"""Measures inside one model of a pair, as values of every window: entropy of representations,
REMIND, the logit lens, noise on the residual stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engram.crossed.mechanism_inputs import MechanismInputs
from engram.crossed.mechanism_values import RIVAL, VALUE_KEY
from engram.lm.conditions import MEASURES
from engram.lm.kept_batches import Kept
from engram.lm.tokens import decode
from engram.mechanisms.entropy import representation_entropy
from engram.mechanisms.logit_lens import layer_values, read_layers
from engram.mechanisms.perturbation import PerturbationSettings, perturb
from engram.mechanisms.remind import FEATURES, Neighbourhood, measure_landscape

_LOG_PROB = MEASURES.index("suffix_log_prob")


def measure_windows(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    windows: pd.DataFrame,
    prefix: int,
    settings: MechanismInputs,
    batch_tokens: int,
    kept: Kept | None = None,
) -> pd.DataFrame:
    """Measure every window in a model.

    Args:
        model: one of a pair.
        tokenizer: its tokenizer.
        windows: sequence_id and tokens.
        prefix: tokens of the prompt.
        settings: the measures.
        batch_tokens: tokens per forward.
        kept: where finished batches are kept; None keeps none.

    Returns:
        a row per value and window, all windows of a value together: sequence_id, the columns of
        `VALUE_KEY`, number. Of `entropy`: entropy and suffix_entropy per depth, in nats. Of
        `remind`: its features; of `rival`: zlib, min_k and min_k_plus_plus. Of `lens`: probability,
        log_prob, top, kl and entropy per depth. Of `noise`: fall, the nats per token that noise
        takes from the suffix's log-probability, and recovery, the cosine to the clean run, per
        depth.

    Raises:
        EngramError: a setting that the model cannot follow, or a value that is not finite.
    """
    tokens = np.stack(windows["tokens"].tolist()).astype(np.int64)  # (n, T)
    tables = []
    for measure in settings.measures:
        values = _measured(measure, model, tokenizer, tokens, prefix, settings, batch_tokens, kept)
        for key, numbers in values:
            named = dict(zip(VALUE_KEY, key, strict=True))
            ids = windows["sequence_id"].to_numpy()
            tables.append(pd.DataFrame({"sequence_id": ids, **named, "number": numbers}))
    return pd.concat(tables, ignore_index=True)


def _measured(
    measure: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tokens: np.ndarray,
    prefix: int,
    settings: MechanismInputs,
    batch_tokens: int,
    kept: Kept | None,
) -> Iterator[tuple[tuple[str, str, float, float], np.ndarray]]:
    """Yield the values of a measure, (n,) each, with what names them."""
    if measure == "entropy":
        entropies = representation_entropy(
            model, tokens, prefix, settings.patch, batch_tokens, kept=kept
        )
        yield from _per_depth(measure, entropies.values())
    elif measure == "lens":
        yield from _per_depth(
            measure, layer_values(read_layers(model, tokens, prefix, batch_tokens, kept=kept))
        )
    elif measure == "remind":
        landscape = measure_landscape(
            model,
            tokens,
            decode(tokenizer, tokens),
            Neighbourhood(settings.neighbours, settings.share, settings.nearest, settings.seed),
            batch_tokens,
            kept=kept,
        )
        for name, values in landscape.values().items():
            yield (measure if name in FEATURES else RIVAL, name, np.nan, np.nan), values
    else:
        yield from _under_noise(model, tokens, prefix, settings, batch_tokens, kept)


def _per_depth(
    measure: str, values: Mapping[str, np.ndarray]
) -> Iterator[tuple[tuple[str, str, float, float], np.ndarray]]:
    """Yield values (n, L + 1) depth by depth; those that no text has are left out."""
    for name, of_depths in values.items():
        if np.isnan(of_depths).all():
            continue
        for depth, of_depth in enumerate(of_depths.T):
            yield (measure, name, np.nan, float(depth)), of_depth


def _under_noise(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    settings: MechanismInputs,
    batch_tokens: int,
    kept: Kept | None,
) -> Iterator[tuple[tuple[str, str, float, float], np.ndarray]]:
    """Yield what noise of every strength does, mean over its draws."""
    alphas = _strengths(settings.alphas)
    seeds = tuple(settings.seed + draw for draw in range(settings.noise_seeds))
    noise = PerturbationSettings((0.0, *alphas), seeds, settings.depth, settings.scale)
    perturbed = perturb(model, tokens, prefix, noise, batch_tokens, kept=kept)
    log_prob = perturbed.measures[..., _LOG_PROB].mean(2, dtype=np.float64)  # (n, A)
    recovery = perturbed.recovery.mean(2, dtype=np.float64)  # (n, A, D)
    for number, alpha in enumerate(alphas, start=1):
        yield ("noise", "fall", alpha, np.nan), log_prob[:, 0] - log_prob[:, number]
        for position, of_depth in enumerate(recovery[:, number].T):
            yield ("noise", "recovery", alpha, float(settings.depth + position)), of_depth


def _strengths(alphas: Sequence[float]) -> list[float]:
    """Return the strengths of noise without 0, the clean run."""
    return [alpha for alpha in alphas if alpha > 0]

"""The measures of a model and taxonomy: tables of means per class, with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from engram.knockout.experiment import Samples
from engram.lm.conditions import by_measure
from engram.lm.kept_batches import Kept
from engram.mechanisms.class_means import class_table
from engram.mechanisms.compression import compress
from engram.mechanisms.heads import ablate_each_head
from engram.mechanisms.logit_lens import (
    DEFAULT_RULES,
    layer_values,
    name_rules,
    read_layers,
    winning_depths,
    winning_values,
)
from engram.mechanisms.overlap import head_overlap
from engram.mechanisms.perturbation import PerturbationSettings, perturb
from engram.mechanisms.settings import MechanismsSettings
from engram.mechanisms.tuned_lens import TunedLens, fit_tuned_lens

LENS_SHARE = 4
"""A batch of the lens has this part of the tokens of others: it holds logits of two layers."""


def run(
    model: PreTrainedModel,
    test: Samples,
    reference: Samples,
    classes: list[str],
    prefix: int,
    settings: MechanismsSettings,
    batch_tokens: int,
    kept: Kept | None = None,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, pd.DataFrame]:
    """Measure a model on the test samples of a taxonomy.

    Args:
        model: the model.
        test: the samples that are measured.
        reference: others, for the means of heads and the tuned lens.
        classes: the K class names.
        prefix: tokens of the prompt.
        settings: of the config.
        batch_tokens: tokens per forward.
        kept: where what is finished is kept; None keeps nothing. The tuned lens is
            trained and read again.
        resamples: bootstrap draws of content groups.
        confidence: nominal coverage of intervals.
        seed: of draws and permutations.

    Returns:
        tables by name, a row per class and: `perturbation` α, `recovery` α and depth, `lens` lens
        (logit, tuned) and depth, `winning` lens and rule, `heads` layer and head, `compression`
        nothing more; `overlap` has a row per pair of classes. Columns: the methods `by_class` of
        `engram.api`.
    """
    tokens, group = test.tokens, test.content_group
    label = np.array(classes, object)[test.label]
    statistics: dict[str, Any] = {
        "resamples": resamples,
        "confidence": confidence,
        "seed": seed,
    }

    def table(keys: dict[str, Any], values: dict[str, Any]) -> pd.DataFrame:
        return class_table(keys, values, label, group, **statistics)

    noise = PerturbationSettings(
        settings.alphas, tuple(range(settings.seeds)), settings.depth, settings.scale
    )
    perturbed = perturb(model, tokens, prefix, noise, batch_tokens, kept)
    depths = tuple(range(noise.depth, noise.depth + perturbed.recovery.shape[-1]))
    lens: list[pd.DataFrame] = []
    winning: list[pd.DataFrame] = []
    of_lens = max(1, batch_tokens // LENS_SHARE)
    for name, translate in _lenses(model, reference, settings, of_lens, seed).items():
        keeping = kept if translate is None else None
        readings = read_layers(model, tokens, prefix, of_lens, translate, keeping)
        read = table({"depth": tuple(range(readings.kl.shape[1]))}, layer_values(readings))
        rules = {"rule": tuple(range(len(DEFAULT_RULES)))}
        won = name_rules(table(rules, winning_values(winning_depths(readings))), DEFAULT_RULES)
        for tables, own in ((lens, read), (winning, won)):
            own.insert(0, "lens", name)
            tables.append(own)
    effects = ablate_each_head(
        model, tokens, prefix, settings.heads, reference.tokens, batch_tokens, kept
    )
    layers, heads = effects.ablated.shape[1:3]
    loss = -effects.difference("suffix_log_prob").reshape(len(tokens), -1)
    lengths = compress(
        model,
        tokens,
        prefix,
        settings.keep,
        scan=settings.scan,
        batch_tokens=batch_tokens,
        kept=kept,
    )
    return {
        "perturbation": table(
            {"alpha": noise.alphas},
            {name: values.mean(2) for name, values in by_measure(perturbed.measures).items()},
        ),
        "recovery": table(
            {"alpha": noise.alphas, "depth": depths}, {"cosine": perturbed.recovery.mean(2)}
        ),
        "lens": pd.concat(lens, ignore_index=True),
        "winning": pd.concat(winning, ignore_index=True),
        "heads": table(
            {"layer": tuple(range(1, layers + 1)), "head": tuple(range(1, heads + 1))},
            effects.differences(),
        ),
        "overlap": head_overlap(loss, label, group, settings.top, **statistics),
        "compression": table({}, lengths.values()),
    }


def _lenses(
    model: PreTrainedModel,
    reference: Samples,
    settings: MechanismsSettings,
    batch_tokens: int,
    seed: int,
) -> dict[str, TunedLens | None]:
    """Return the lenses that a study reads by."""
    lenses: dict[str, TunedLens | None] = {"logit": None}
    if settings.tuned_lens_steps:
        lenses["tuned"] = fit_tuned_lens(
            model,
            reference.tokens,
            steps=settings.tuned_lens_steps,
            batch_tokens=batch_tokens,
            seed=seed,
        )
    return lenses

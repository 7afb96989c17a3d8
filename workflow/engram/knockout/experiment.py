"""Runs the knock-outs of a model and taxonomy, and keeps finished conditions so that a killed job
resumes where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.io.packing import pack
from engram.io.spans import Spans
from engram.knockout.kept_conditions import measure_conditions
from engram.knockout.trials import (
    COLUMNS,
    KnockoutSettings,
    Trial,
    cumulative_trials,
    rank_units,
    region_trials,
    single_trials,
    units,
)
from engram.lm.conditions import MEASURES, Condition
from engram.lm.inputs import opening
from engram.lm.interventions import Means, average
from engram.lm.kept_batches import Kept


@dataclass(frozen=True)
class Samples:
    """Samples whose suffix is to be reproduced."""

    sequence_id: np.ndarray
    """int64 (n,)."""
    content_group: np.ndarray
    """int64 (n,)."""
    label: np.ndarray
    """Index of the class, (n,)."""
    tokens: np.ndarray
    """(n, T): the text whose attention was stored, for Non-Memo the model's own continuation."""


@dataclass(frozen=True)
class Runner:
    """A model with what all conditions share."""

    model: PreTrainedModel
    fingerprint: str
    """Of the model's weights and precision."""
    prefix: int
    """Tokens of the windows' prefix."""
    batch_tokens: int
    parts: Path
    """Folder of finished conditions."""
    code: str
    """Digest of the code that makes them."""

    def measure(
        self, tokens: np.ndarray, conditions: Sequence[Condition], means: Means
    ) -> np.ndarray:
        """Return the measures of every condition and sample, float32 (C, n, 3); what an earlier job
        has finished is read.
        """
        kept = Kept(self.parts, f"{self.fingerprint} {self.code}")
        return measure_conditions(
            self.model, tokens, self.prefix, conditions, means, self.batch_tokens, kept
        )


def choose(
    split: np.ndarray, label: np.ndarray, priority: np.ndarray, which: str, per_class: int
) -> np.ndarray:
    """Return positions of a split's samples: per class those of the lowest priority, at most
    `per_class`; sorted.
    """
    rows = np.flatnonzero(split == which)
    chosen = [
        of_class[np.argsort(priority[of_class], kind="stable")][:per_class]
        for k in np.unique(label)
        if len(of_class := rows[label[rows] == k])
    ]
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


def run(
    runner: Runner,
    test: Samples,
    ranking: Samples,
    delta: np.ndarray,
    classes: Sequence[str],
    settings: KnockoutSettings,
    seed: int,
    block: int = 1,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run all knock-outs.

    Args:
        runner: the model.
        test: the samples that effects are reported on.
        ranking: other samples: units are ranked on them, and they give the means of mean-ablation
            and the controls' attention.
        delta: Δ (K, L, P).
        classes: the K class names.
        settings: of the config.
        seed: of the random regions.
        block: tokens of a row of Δ's maps. Regions and their controls are made of whole blocks,
            distance bands of single tokens.

    Returns:
        conditions: `condition` (its number), the columns that name it
        (`engram.knockout.trials.Trial`), `cells` (pairs of query and key or, for layers and heads,
        heads that are removed) and `mass` (mean attention that the cells have on the ranking
        samples, summed; NaN for heads); and results: condition and the columns that name it,
        sequence_id, content_group, class, and `MEASURES`, a row per condition and test sample.

    Raises:
        EngramError: a class without samples, Δ of another model.
    """
    for name, samples in (("test", test), ("ranking", ranking)):
        counts = np.bincount(samples.label, minlength=len(classes))
        if not counts.all():
            raise EngramError(
                f"knock-out: class {classes[int(counts.argmin())]} has no {name} sample; take more "
                f"samples per class"
            )
    means = average(runner.model, ranking.tokens, runner.batch_tokens)
    layers, heads, window, _ = means.weights.shape
    before = len(opening(runner.model)), runner.prefix
    spans = Spans(*before, window - sum(before), block)
    of_tokens = pack(means.weights.mean(1)).cpu().numpy()  # (L, P of single tokens)
    mass = spans.pool(of_tokens, "sum")  # (L, P)
    if delta.shape != (len(classes), *mass.shape):
        raise EngramError(
            f"knock-out: Δ has shape {delta.shape}, the model's is {(len(classes), *mass.shape)}; "
            f"delete the saliency file"
        )
    all_units = units(layers, heads, window, settings.bands)
    singles = single_trials(all_units, settings.operations)
    # Units are ranked first: the cumulative curves depend on it.
    on_ranking = runner.measure(ranking.tokens, [trial.condition for trial in singles], means)[
        ..., MEASURES.index("suffix_log_prob")
    ]
    falls = on_ranking[0] - on_ranking  # (trials, n); the first trial is the intact model
    cost = np.stack(
        [falls[:, ranking.label == k].mean(axis=1) for k in range(len(classes))], axis=1
    )  # (trials, K)
    maps = (mass, spans.before_suffix, settings, seed, spans if block > 1 else None)
    trials = [
        *singles,
        *region_trials(delta, classes, *maps),
        *cumulative_trials(all_units, rank_units(singles, cost, classes), settings.curve_points),
    ]
    measures = runner.measure(
        test.tokens, [trial.condition for trial in trials], means
    )  # (C, n, 3)
    conditions = _conditions(trials, of_tokens)
    return conditions, _results(conditions, measures, test, classes)


def _conditions(trials: Sequence[Trial], mass: np.ndarray) -> pd.DataFrame:
    """Return the table of conditions; mass is that of single tokens."""
    rows = []
    for number, trial in enumerate(trials):
        cells, heads = trial.condition.cells, trial.condition.heads
        if cells is not None and trial.condition.spans is not None:
            cells = trial.condition.spans.expand(cells)
        mask = cells if cells is not None else heads
        removed = 0 if mask is None else int(mask.sum())
        summed = (
            float(mass[cells].sum())
            if cells is not None
            else 0.0
            if heads is None
            else float("nan")
        )
        rows.append({"condition": number, **trial.name, "cells": removed, "mass": summed})
    return pd.DataFrame(rows, columns=["condition", *COLUMNS, "cells", "mass"])


def _results(
    conditions: pd.DataFrame, measures: np.ndarray, test: Samples, classes: Sequence[str]
) -> pd.DataFrame:
    count, n, _ = measures.shape
    names = conditions[list(COLUMNS)].astype(
        dict.fromkeys(("kind", "region", "operation"), "category")
    )
    frame = pd.DataFrame(
        {
            "condition": np.repeat(np.arange(count, dtype=np.int32), n),
            **{column: names[column].repeat(n).array for column in COLUMNS},
            "sequence_id": np.tile(test.sequence_id, count),
            "content_group": np.tile(test.content_group, count),
            "class": pd.Categorical(
                np.array(classes, object)[np.tile(test.label, count)], categories=list(classes)
            ),
        }
    )
    for position, name in enumerate(MEASURES):
        frame[name] = measures[..., position].ravel()
    frame["extracted"] = frame["extracted"] > 0
    return frame

"""Do the regions of two classes come apart? Double dissociation.

The region of class A is its cells of largest Δ. Its *specificity* against class B is how much more
its removal costs A than B. A and B are doubly dissociated where both regions are specific. Every
value is also compared with random regions of equal cell count and of equal attention: what is
beyond them is due to *which* cells are removed, not to how many, or to how much attention.

Intervals are over content groups and over the random regions. Over several models (such as seeds of
the nursery) the models are the units, by Student's t: drawing three models covers the mean of
others in 75 to 80 % of nominal 95.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engram.knockout.effects import measure_array
from engram.knockout.trials import REGIONS
from engram.lm.conditions import MEASURES
from engram.scores.bootstrap import (
    cluster_means,
    cluster_sums,
    draw_counts,
    percentile_interval,
    t_interval,
)

POOLED = "all models"
"""The value of the column `model` for rows that pool all models."""
STATISTICS = (
    "own",
    "other",
    "specificity",
    "own_beyond_cells",
    "own_beyond_mass",
    "specificity_beyond_cells",
    "specificity_beyond_mass",
    "interaction",
)
"""What is said of a region of class A against class B, see `dissociations`."""


@dataclass(frozen=True)
class Losses:
    """What regions cost in one model, by kind of region (axis -3, `REGIONS`), for the region of
    class A (axis -2) measured on class B (axis -1).
    """

    value: np.ndarray
    """(3, K, K); NaN where a class has no region."""
    drawn: np.ndarray
    """The same in every resample, (R, 3, K, K)."""


def dissociations(
    results: Mapping[str, pd.DataFrame],
    classes: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """Tabulate the double dissociations of one taxonomy.

    Args:
        results: model → results of `engram.knockout.experiment.run`.
        classes: the K class names.
        resamples: bootstrap draws.
        confidence: nominal coverage of the intervals.
        seed: of the bootstrap.

    Returns:
        A row per model (and one for all, where there are several), size, operation, measure and
        ordered pair of classes: `model`, `region` (class A), `against` (class B), `size`,
        `operation`, `measure`, `models`, `n` and `n_against` (samples of A and B). Then value,
        `_low` and `_high` of: `own` and `other`, what removing A's region costs A and B;
        `specificity`, own minus other; `own_beyond_cells` and `own_beyond_mass`, own minus what the
        controls cost A; `specificity_beyond_cells` and `specificity_beyond_mass`; `interaction`,
        the sum of the specificities of A and of B. Losses are positive. `specific`: the interval of
        the specificity is above 0; `beyond_controls`: those beyond both controls are; `double`:
        both hold for A against B and for B against A.
    """
    rows: list[dict[str, object]] = []
    for size, operation, measure in _settings(next(iter(results.values()))):
        losses, counts = {}, {}
        for m, (model, frame) in enumerate(results.items()):
            generator = np.random.default_rng([seed, m])
            losses[model] = _losses(frame, classes, size, operation, measure, resamples, generator)
            counts[model] = frame[frame["condition"] == 0]["class"].value_counts()
        members = {model: [model] for model in losses}
        if len(losses) > 1:
            members[POOLED] = list(losses)
        for label, models in members.items():
            own = [losses[model] for model in models]
            for a, b in np.ndindex(len(classes), len(classes)):
                if a == b:
                    continue
                row: dict[str, object] = {
                    "model": label,
                    "region": classes[a],
                    "against": classes[b],
                    "size": size,
                    "operation": operation,
                    "measure": measure,
                    "models": len(models),
                    "n": sum(int(counts[model][classes[a]]) for model in models),
                    "n_against": sum(int(counts[model][classes[b]]) for model in models),
                }
                values = [_statistics(part.value, a, b) for part in own]
                drawn = _statistics(own[0].drawn, a, b)
                for name in STATISTICS:
                    of_models = np.array([float(value[name]) for value in values])
                    interval = (
                        percentile_interval(of_models[0], drawn[name], confidence)
                        if len(own) == 1
                        else t_interval(of_models, confidence)
                    )
                    row |= interval.columns(name)
                rows.append(row)
    return _judged(pd.DataFrame(rows))


def _judged(table: pd.DataFrame) -> pd.DataFrame:
    """Add the columns `specific`, `beyond_controls` and `double`."""
    beyond = [table[f"specificity_beyond_{control}_low"] > 0 for control in ("cells", "mass")]
    table = table.assign(
        specific=table["specificity_low"] > 0, beyond_controls=beyond[0] & beyond[1]
    )
    holds = table["specific"] & table["beyond_controls"]
    keys = ["model", "size", "operation", "measure", "region", "against"]
    swapped = table[keys].rename(columns={"region": "against", "against": "region"})
    reverse = table[keys].merge(swapped.assign(reverse=holds), on=keys, how="left")["reverse"]
    return table.assign(double=holds & reverse.astype(bool))


def _settings(frame: pd.DataFrame) -> list[tuple[float, str, str]]:
    """Return every size and operation of the Δ regions, with every measure."""
    regions = frame[frame["kind"] == "delta"].drop_duplicates("condition")
    pairs = regions.sort_values(["size", "operation"])[["size", "operation"]].to_numpy()
    return [
        (size, operation, measure)
        for size, operation in dict.fromkeys((float(size), str(name)) for size, name in pairs)
        for measure in MEASURES
    ]


def _losses(
    frame: pd.DataFrame,
    classes: Sequence[str],
    size: float,
    operation: str,
    measure: str,
    resamples: int,
    generator: np.random.Generator,
) -> Losses:
    """Return what the regions of one size cost, drawn over content groups and random regions."""
    measures = measure_array(frame)[..., MEASURES.index(measure)]  # (C, n)
    first = frame.iloc[: measures.shape[1]]
    names = frame.drop_duplicates("condition")
    names = names[
        names["kind"].isin(REGIONS)
        & np.isclose(names["size"], size)
        & (names["operation"] == operation)
    ]
    falls = (measures[:1] - measures[names["condition"].to_numpy()]).T  # (n, C of this size)
    shape = (len(REGIONS), len(classes), len(classes))
    value, drawn = np.full(shape, np.nan), np.full((resamples, *shape), np.nan)
    for b, measured in enumerate(classes):
        rows = (first["class"] == measured).to_numpy()
        sums, sizes = cluster_sums(falls[rows], first["content_group"].to_numpy()[rows])
        counts = draw_counts(generator, len(sizes), resamples)
        means = cluster_means(counts, sums, sizes)  # (R, C)
        for a, region in enumerate(classes):
            for r, kind in enumerate(REGIONS):
                chosen = np.flatnonzero((names["kind"] == kind) & (names["region"] == region))
                if not len(chosen):
                    continue
                shares = draw_counts(generator, len(chosen), resamples) / len(chosen)
                value[r, a, b] = falls[np.ix_(rows, chosen)].mean()
                drawn[:, r, a, b] = (shares * means[:, chosen]).sum(axis=1)
    return Losses(value, drawn)


def _statistics(losses: np.ndarray, a: int, b: int) -> dict[str, np.ndarray]:
    """Return `STATISTICS` of the region of class a against class b, (…) each, of losses
    (…, 3, K, K).
    """

    of_kind = {kind: losses[..., r, :, :] for r, kind in enumerate(REGIONS)}

    def specificity(kind: str, own: int, other: int) -> np.ndarray:
        return of_kind[kind][..., own, own] - of_kind[kind][..., own, other]

    own, specific = of_kind["delta"][..., a, a], specificity("delta", a, b)
    return {
        "own": own,
        "other": of_kind["delta"][..., a, b],
        "specificity": specific,
        "own_beyond_cells": own - of_kind["control_cells"][..., a, a],
        "own_beyond_mass": own - of_kind["control_mass"][..., a, a],
        "specificity_beyond_cells": specific - specificity("control_cells", a, b),
        "specificity_beyond_mass": specific - specificity("control_mass", a, b),
        "interaction": specific + specificity("delta", b, a),
    }

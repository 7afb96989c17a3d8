"""Do the regions of two classes come apart? Double dissociation, and whether Δ tells the layers
that matter.

The region of class A is its cells of largest Δ. Its *specificity* against class B is how much more
its removal costs A than B. A and B are doubly dissociated where both regions are specific. Every
figure is also compared with random regions of equal cell count and of equal attention: what is
beyond them is due to *which* cells are removed, not to how many, or to how much attention.

Intervals are by a bootstrap over content groups and over the random draws; over several models
(such as seeds of the nursery) the models are drawn first, then each one's groups, so that the
interval speaks of other models too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engram.knockout.effects import group_sums, group_weights, measure_array
from engram.knockout.trials import COLUMNS, REGIONS
from engram.lm.conditions import MEASURES

POOLED = "all models"
"""Stands in the column `model` of what is pooled."""
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


@dataclass(frozen=True)
class Losses:
    """What regions cost in one model: by kind of region, for the region of class A (axis -2)
    measured on class B (axis -1).
    """

    value: Mapping[str, np.ndarray]
    """(K, K)."""
    drawn: Mapping[str, np.ndarray]
    """The same in every resample, (R, K, K)."""


def dissociations(
    results: Mapping[str, pd.DataFrame],
    classes: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """The double-dissociation table of one taxonomy.

    Args:
        results: model → results of `engram.knockout.experiment.run`.
        classes: the K class names.
        resamples, confidence, seed: of the bootstrap.

    Returns:
        a row per model (and one for all, where there are several), size, operation, measure and
        ordered pair of classes: `model`, `region` (class A), `against` (class B), `size`,
        `operation`, `measure`, `models`, `n` and `n_against` (samples of A and B); then value,
        `_low` and `_high` of: `own` and `other`, what removing A's region costs A and B;
        `specificity`, own minus other; `own_beyond_cells` and `own_beyond_mass`, own minus what the
        controls cost A; `specificity_beyond_cells` and `specificity_beyond_mass`; `interaction`,
        the specificities of A and of B added up. Losses are positive. `specific`: the interval of
        the specificity lies above 0; `beyond_controls`: those beyond both controls do; `double`:
        both hold for A against B and for B against A.
    """
    tail = (1 - confidence) / 2
    rows = []
    for (size, operation), measure in _settings(next(iter(results.values()))):
        losses = {
            name: _losses(
                frame,
                classes,
                size,
                operation,
                measure,
                resamples,
                np.random.default_rng([seed, m]),
            )
            for m, (name, frame) in enumerate(results.items())
        }
        counts = {
            name: frame[frame["condition"] == 0]["class"].value_counts()
            for name, frame in results.items()
        }
        groups = [(name, [name]) for name in losses] + (
            [(POOLED, list(losses))] if len(losses) > 1 else []
        )
        for label, members in groups:
            pooled = _pool([losses[name] for name in members], np.random.default_rng(seed))
            for a, b in np.ndindex(len(classes), len(classes)):
                if a == b:
                    continue
                value, drawn = _statistics(pooled.value, a, b), _statistics(pooled.drawn, a, b)
                row: dict[str, object] = {
                    "model": label,
                    "region": classes[a],
                    "against": classes[b],
                    "size": size,
                }
                row |= {"operation": operation, "measure": measure, "models": len(members)}
                row |= {
                    "n": sum(int(counts[m][classes[a]]) for m in members),
                    "n_against": sum(int(counts[m][classes[b]]) for m in members),
                }
                for name in STATISTICS:
                    low, high = np.quantile(drawn[name], [tail, 1 - tail])
                    row |= {
                        name: float(value[name]),
                        f"{name}_low": float(low),
                        f"{name}_high": float(high),
                    }
                rows.append(row)
    table = pd.DataFrame(rows)
    table["specific"] = table["specificity_low"] > 0
    table["beyond_controls"] = (table["specificity_beyond_cells_low"] > 0) & (
        table["specificity_beyond_mass_low"] > 0
    )
    holds = (table["specific"] & table["beyond_controls"]).rename("double")
    keys = ["model", "size", "operation", "measure"]
    reverse = (
        table[[*keys, "region", "against"]]
        .rename(columns={"region": "against", "against": "region"})
        .assign(reverse=holds)
    )
    return table.assign(
        double=holds
        & table.merge(reverse, on=[*keys, "region", "against"], how="left")["reverse"].astype(bool)
    )


def causal_agreement(
    results: Mapping[str, pd.DataFrame],
    profiles: Mapping[str, np.ndarray],
    classes: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """Whether the layers with more Δ are those whose removal costs more, per class.

    Args:
        results: model → results.
        profiles: model → sum of Δ per CNN, class and layer, (C, K, L).

    Returns:
        model, class, operation, `layers`, `cnns`, and the correlation over layers of the share of Δ
        with the fall of the suffix's log-probability: `pearson` and `spearman`, each with `_low`
        and `_high` from a bootstrap over CNNs and content groups (and, for all models together,
        over models). With few layers the intervals are wide, and they should be. Empty where a side
        is constant.
    """
    rows: list[dict[str, object]] = []
    tail = (1 - confidence) / 2
    operations = [
        str(o) for o in next(iter(results.values())).query("kind == 'layer'")["operation"].unique()
    ]
    for operation in operations:
        for k, name in enumerate(classes):
            found: list[tuple[np.ndarray, np.ndarray]] = []
            for m, (model, frame) in enumerate(results.items()):
                generator = np.random.default_rng([seed, m, k])
                profile = profiles[model][:, k]  # (C, L)
                fall, falls = _layer_falls(
                    frame, name, operation, resamples, generator
                )  # (L,), (R, L)
                cnns = group_weights(len(profile), resamples, generator)  # (R, C)
                with np.errstate(divide="ignore", invalid="ignore"):
                    value = correlations(profile.mean(axis=0)[None], fall[None])[0]  # (2,)
                    drawn = correlations(cnns @ profile, falls)  # (R, 2)
                found.append((value, drawn))
                rows.append(
                    _agreement_row(model, name, operation, profile.shape, value, drawn, tail)
                )
            if len(found) > 1:
                value = np.nanmean([one for one, _ in found], axis=0)
                drawn = _two_stage(np.stack([one for _, one in found]), np.random.default_rng(seed))
                shape = (
                    sum(len(p) for p in profiles.values()),
                    profiles[next(iter(profiles))].shape[2],
                )
                rows.append(_agreement_row(POOLED, name, operation, shape, value, drawn, tail))
    return pd.DataFrame(rows)


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson and Spearman correlation of the rows of two arrays (R, L) -> (R, 2); NaN where a row
    is constant.
    """
    ranks = [pd.DataFrame(values).rank(axis=1).to_numpy() for values in (first, second)]
    return np.stack([_pearson(first, second), _pearson(*ranks)], axis=1)


def _pearson(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    a, b = (values - values.mean(axis=1, keepdims=True) for values in (first, second))
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.divide((a * b).sum(axis=1), scale, out=np.full(len(a), np.nan), where=scale > 0)


def _agreement_row(
    model: str,
    name: str,
    operation: str,
    shape: tuple[int, ...],
    value: np.ndarray,
    drawn: np.ndarray,
    tail: float,
) -> dict[str, object]:
    row: dict[str, object] = {
        "model": model,
        "class": name,
        "operation": operation,
        "layers": shape[1],
        "cnns": shape[0],
    }
    for position, kind in enumerate(("pearson", "spearman")):
        values = drawn[:, position][~np.isnan(drawn[:, position])]
        low, high = np.quantile(values, [tail, 1 - tail]) if len(values) else (np.nan, np.nan)
        row |= {
            kind: float(value[position]),
            f"{kind}_low": float(low),
            f"{kind}_high": float(high),
        }
    return row


def _layer_falls(
    frame: pd.DataFrame, name: str, operation: str, resamples: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Fall of the suffix's log-probability of a class's samples per removed layer, (L,), and in
    every resample, (R, L).
    """
    names = frame.drop_duplicates("condition")[["condition", *COLUMNS]]
    chosen = names[(names["kind"] == "layer") & (names["operation"] == operation)]
    order = chosen["condition"].to_numpy()[np.argsort([int(layer) for layer in chosen["region"]])]
    measures = measure_array(frame)[..., MEASURES.index("suffix_log_prob")]  # (C, n)
    first = frame.iloc[: measures.shape[1]]
    mine = (first["class"] == name).to_numpy()
    falls = (measures[:1] - measures[order])[:, mine].T  # (n, L)
    sums, sizes = group_sums(falls, first["content_group"].to_numpy()[mine])
    weights = group_weights(len(sizes), resamples, generator)
    return falls.mean(axis=0), (weights @ sums) / (weights @ sizes)[:, None]


def _settings(frame: pd.DataFrame) -> list[tuple[tuple[float, str], str]]:
    """Every size and operation of the Δ regions, with every measure."""
    found = (
        frame[frame["kind"] == "delta"]
        .drop_duplicates("condition")
        .sort_values(["size", "operation"])
    )
    pairs = dict.fromkeys(
        (float(size), str(operation)) for size, operation in found[["size", "operation"]].to_numpy()
    )
    return [(pair, measure) for pair in pairs for measure in MEASURES]


def _losses(
    frame: pd.DataFrame,
    classes: Sequence[str],
    size: float,
    operation: str,
    measure: str,
    resamples: int,
    generator: np.random.Generator,
) -> Losses:
    measures = measure_array(frame)[..., MEASURES.index(measure)]  # (C, n)
    first = frame.iloc[: measures.shape[1]]
    names = frame.drop_duplicates("condition")
    names = names[
        names["kind"].isin(REGIONS)
        & np.isclose(names["size"], size)
        & (names["operation"] == operation)
    ]
    conditions = names["condition"].to_numpy()
    k = len(classes)
    value = {kind: np.zeros((k, k)) for kind in REGIONS}
    drawn = {kind: np.zeros((resamples, k, k)) for kind in REGIONS}
    for b, measured in enumerate(classes):
        mine = (first["class"] == measured).to_numpy()
        losses = (measures[:1] - measures[conditions])[
            :, mine
        ].T  # (n, C), C conditions of this size and operation
        sums, sizes = group_sums(losses, first["content_group"].to_numpy()[mine])
        weights = group_weights(len(sizes), resamples, generator)
        means = (weights @ sums) / (weights @ sizes)[:, None]  # (R, C)
        for a, region in enumerate(classes):
            for kind in REGIONS:
                chosen = np.flatnonzero((names["kind"] == kind) & (names["region"] == region))
                if not len(chosen):
                    value[kind][a, b], drawn[kind][:, a, b] = np.nan, np.nan
                    continue
                draws = group_weights(len(chosen), resamples, generator) / len(
                    chosen
                )  # (R, draws); one region is drawn each time
                value[kind][a, b] = losses[:, chosen].mean()
                drawn[kind][:, a, b] = (draws * means[:, chosen]).sum(axis=1)
    return Losses(value, drawn)


def _pool(losses: Sequence[Losses], generator: np.random.Generator) -> Losses:
    """The mean over models."""
    if len(losses) == 1:
        return losses[0]
    # One order of models for all kinds of region, so that differences between them stay paired.
    state = generator.bit_generator.state
    drawn = {}
    for kind in REGIONS:
        generator.bit_generator.state = state
        drawn[kind] = _two_stage(np.stack([one.drawn[kind] for one in losses]), generator)
    return Losses(
        {kind: np.mean([one.value[kind] for one in losses], axis=0) for kind in REGIONS}, drawn
    )


def _two_stage(drawn: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Resamples of a mean over models from each model's own resamples, (M, R, …) -> (R, …): as many
    models are drawn as there are, and of each drawn model one of its resamples."""
    models, resamples = drawn.shape[:2]
    picked = [
        drawn[generator.integers(models, size=resamples), generator.permutation(resamples)]
        for _ in range(models)
    ]
    return np.nanmean(picked, axis=0)


def _statistics(losses: Mapping[str, np.ndarray], a: int, b: int) -> dict[str, np.ndarray]:
    """`STATISTICS` of the region of class a against class b."""

    def specificity(kind: str, own: int, other: int) -> np.ndarray:
        return losses[kind][..., own, own] - losses[kind][..., own, other]

    own, mine = losses["delta"][..., a, a], specificity("delta", a, b)
    return {
        "own": own,
        "other": losses["delta"][..., a, b],
        "specificity": mine,
        "own_beyond_cells": own - losses["control_cells"][..., a, a],
        "own_beyond_mass": own - losses["control_mass"][..., a, a],
        "specificity_beyond_cells": mine - specificity("control_cells", a, b),
        "specificity_beyond_mass": mine - specificity("control_mass", a, b),
        "interaction": mine + specificity("delta", b, a),
    }

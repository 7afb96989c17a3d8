"""Does Δ show the layers that matter? Correlation over layers of Δ with the effect of removal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from engram.knockout.dissociation import POOLED
from engram.knockout.effects import measure_array
from engram.knockout.trials import COLUMNS
from engram.lm.conditions import MEASURES
from engram.scores.bootstrap import (
    Interval,
    cluster_means,
    cluster_sums,
    draw_counts,
    percentile_interval,
    two_stage_means,
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
    """Tabulate, per class, whether the layers with more Δ are those whose removal costs more.

    Args:
        results: model → results of `engram.knockout.experiment.run`.
        profiles: model → sum of Δ per CNN, class and layer, (C, K, L).
        classes: the K class names.
        resamples: bootstrap draws.
        confidence: nominal coverage of the intervals.
        seed: of the bootstrap.

    Returns:
        model, class, operation, `layers`, `cnns`, and the correlation over layers of the share of Δ
        with the fall of the suffix's log-probability: `pearson` and `spearman`, each with `_low`
        and `_high` from a bootstrap over CNNs and content groups (and, for all models together,
        over models). With few layers the intervals are wide, and they should be. Empty where a side
        is constant.
    """
    rows: list[dict[str, object]] = []
    layers = next(iter(results.values())).query("kind == 'layer'")
    for operation in map(str, layers["operation"].unique()):
        for k, name in enumerate(classes):
            values, draws = [], []
            for m, (model, frame) in enumerate(results.items()):
                generator = np.random.default_rng([seed, m, k])
                profile = profiles[model][:, k]  # (C, L)
                fall, falls = _layer_falls(frame, name, operation, resamples, generator)
                cnns = draw_counts(generator, len(profile), resamples)  # (R, C)
                values.append(profile_correlations(profile.mean(axis=0)[None], fall[None])[0])
                draws.append(profile_correlations(cnns @ profile, falls))  # (R, 2)
                row: dict[str, object] = {"model": model, "class": name, "operation": operation}
                row |= {"layers": profile.shape[1], "cnns": len(profile)}
                rows.append(row | _columns(values[-1], draws[-1], confidence))
            if len(values) > 1:
                pooled = two_stage_means(np.random.default_rng(seed), np.stack(draws))
                row |= {"model": POOLED, "cnns": sum(map(len, profiles.values()))}
                row["layers"] = next(iter(profiles.values())).shape[2]
                rows.append(row | _columns(np.nanmean(values, axis=0), pooled, confidence))
    return pd.DataFrame(rows)


def profile_correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the Pearson and Spearman correlations of the rows of two arrays, (R, L) → (R, 2); NaN
    where a row is constant.
    """
    ranks = (rankdata(first, axis=1), rankdata(second, axis=1))
    return np.stack([_pearson(first, second), _pearson(*ranks)], axis=1)


def _pearson(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    a, b = (values - values.mean(axis=1, keepdims=True) for values in (first, second))
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.divide((a * b).sum(axis=1), scale, out=np.full(len(a), np.nan), where=scale > 0)


def _columns(value: np.ndarray, draws: np.ndarray, confidence: float) -> dict[str, float]:
    """Return the columns of both correlations, (2,), with intervals from the draws, (R, 2), in
    which neither side is constant.
    """
    columns: dict[str, float] = {}
    for position, kind in enumerate(("pearson", "spearman")):
        defined = draws[:, position][~np.isnan(draws[:, position])]
        interval = Interval(float(value[position]), np.nan, np.nan)
        if len(defined):
            interval = percentile_interval(interval.value, defined, confidence)
        columns |= interval.columns(kind)
    return columns


def _layer_falls(
    frame: pd.DataFrame, name: str, operation: str, resamples: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the fall of the suffix's log-probability of a class's samples per removed layer, (L,),
    and in every resample, (R, L).
    """
    names = frame.drop_duplicates("condition")[["condition", *COLUMNS]]
    chosen = names[(names["kind"] == "layer") & (names["operation"] == operation)]
    order = chosen["condition"].to_numpy()[np.argsort([int(layer) for layer in chosen["region"]])]
    measures = measure_array(frame)[..., MEASURES.index("suffix_log_prob")]  # (C, n)
    first = frame.iloc[: measures.shape[1]]
    rows = (first["class"] == name).to_numpy()
    falls = (measures[:1] - measures[order])[:, rows].T  # (n, L)
    sums, sizes = cluster_sums(falls, first["content_group"].to_numpy()[rows])
    counts = draw_counts(generator, len(sizes), resamples)
    return falls.mean(axis=0), cluster_means(counts, sums, sizes)

"""Does Δ show the layers that matter? Both values of every layer, and whether they agree over
layers where there are enough of them.

Of four unrelated layers a correlation of .62 or more in size comes up in 38 of 100 draws, and no
interval over samples or CNNs knows of it, because it leaves the layers as they are. So the table
shows the values, and fewer than `FEWEST_UNITS` layers have no correlation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from engram.knockout.dissociation import POOLED
from engram.knockout.effects import measure_array
from engram.knockout.trials import COLUMNS
from engram.lm.conditions import MEASURES
from engram.scores.bootstrap import Interval, cluster_sums, mean_interval, t_interval

FEWEST_UNITS = 12
"""Fewest layers over which a correlation is computed."""
PERMUTATIONS = 9_999
"""Random orders of the layers that a correlation is compared with."""


def causal_agreement(
    results: Mapping[str, pd.DataFrame],
    profiles: Mapping[str, np.ndarray],
    classes: Sequence[str],
    *,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """Tabulate, per class and layer, the share of Δ and what the removal of the layer costs.

    Args:
        results: model → results of `engram.knockout.experiment.run`.
        profiles: model → sum of Δ per CNN, class and layer, (C, K, L).
        classes: the K class names.
        confidence: nominal coverage of the intervals.
        seed: of the permutations.

    Returns:
        model, class, operation, layer (from 1), `layers` (their number), `cnns`; `delta`, the
        layer's share of the class's Δ, with an interval over CNNs (with those alone that have a Δ
        of the class); `fall`, of the suffix's log-probability, with an interval over content
        groups; both by Student's t. For all models together, where models have as many layers:
        means, with intervals over models. `spearman`, the rank correlation of both over layers, and
        `p`, the share of all random orders of the layers with one at least as large in size,
        two-sided: the same in all rows of a model, class and operation, and empty below
        `FEWEST_UNITS` layers, for all models together, and where a side is constant.
    """
    rows: list[dict[str, object]] = []
    layers = next(iter(results.values())).query("kind == 'layer'")
    for operation in map(str, layers["operation"].unique()):
        for name, k in zip(classes, range(len(classes)), strict=True):
            shares: list[list[Interval]] = []
            falls: list[list[Interval]] = []
            for model, frame in results.items():
                shares.append(_shares(profiles[model][:, k], confidence))
                falls.append(_falls(frame, name, operation, confidence))
                names: dict[str, object] = {"model": model, "class": name, "operation": operation}
                cnns = len(profiles[model])
                rows += _rows(
                    names, shares[-1], falls[-1], cnns, _agreement(shares[-1], falls[-1], seed)
                )
            if len(results) > 1 and len(set(map(len, shares))) == 1:
                names = {"model": POOLED, "class": name, "operation": operation}
                share, fall = (_over_models(parts, confidence) for parts in (shares, falls))
                rows += _rows(names, share, fall, sum(map(len, profiles.values())), {})
    return pd.DataFrame(rows)


def permutation_test(
    first: np.ndarray, second: np.ndarray, seed: int, permutations: int = PERMUTATIONS
) -> tuple[float, float]:
    """Return the rank correlation of two values of the same units, (U,) each, and its two-sided p
    under random orders of the units; the order that is observed counts as one of them.

    NaN where a side is constant.
    """
    ranks = [rankdata(values) - (len(values) + 1) / 2 for values in (first, second)]
    scale = np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum())
    if not scale > 0:
        return np.nan, np.nan
    generator = np.random.default_rng(seed)
    orders = generator.permuted(np.tile(ranks[1], (permutations, 1)), axis=1)  # (R, U)
    found, drawn = float(ranks[0] @ ranks[1] / scale), orders @ ranks[0] / scale
    as_large = (np.abs(drawn) >= abs(found) - 1e-12).sum()
    return found, float((1 + as_large) / (1 + permutations))


def _rows(
    names: Mapping[str, object],
    shares: Sequence[Interval],
    falls: Sequence[Interval],
    cnns: int,
    agreement: Mapping[str, float],
) -> list[dict[str, object]]:
    sizes = {"layers": len(shares), "cnns": cnns}
    whole = {"spearman": np.nan, "p": np.nan} | dict(agreement)
    return [
        {
            **names,
            "layer": layer,
            **sizes,
            **share.columns("delta"),
            **fall.columns("fall"),
            **whole,
        }
        for layer, (share, fall) in enumerate(zip(shares, falls, strict=True), 1)
    ]


def _agreement(
    shares: Sequence[Interval], falls: Sequence[Interval], seed: int
) -> dict[str, float]:
    """Return `spearman` and `p` over layers; nothing where there are too few."""
    if len(shares) < FEWEST_UNITS:
        return {}
    first, second = (np.array([interval.value for interval in part]) for part in (shares, falls))
    return dict(zip(("spearman", "p"), permutation_test(first, second, seed), strict=True))


def _shares(profile: np.ndarray, confidence: float) -> list[Interval]:
    """Return the share of Δ of every layer, with intervals over CNNs; profile (C, L)."""
    total = profile.sum(axis=1, keepdims=True)
    alive = total[:, 0] > 0
    if not alive.any():
        return [Interval(np.nan, np.nan, np.nan)] * profile.shape[1]
    shares = profile[alive] / total[alive]
    return [t_interval(column, confidence) for column in shares.T]


def _falls(frame: pd.DataFrame, name: str, operation: str, confidence: float) -> list[Interval]:
    """Return the fall of the suffix's log-probability of a class's samples per removed layer, with
    intervals over content groups.
    """
    names = frame.drop_duplicates("condition")[["condition", *COLUMNS]]
    chosen = names[(names["kind"] == "layer") & (names["operation"] == operation)]
    order = chosen["condition"].to_numpy()[np.argsort([int(layer) for layer in chosen["region"]])]
    measures = measure_array(frame)[..., MEASURES.index("suffix_log_prob")]  # (C, n)
    first = frame.iloc[: measures.shape[1]]
    rows = (first["class"] == name).to_numpy()
    falls = (measures[:1] - measures[order])[:, rows].T  # (n, L)
    sums, sizes = cluster_sums(falls, first["content_group"].to_numpy()[rows])
    return [mean_interval(column, sizes, confidence) for column in sums.T]


def _over_models(parts: Sequence[Sequence[Interval]], confidence: float) -> list[Interval]:
    """Return means over models of every layer, with intervals over models."""
    values = np.array([[interval.value for interval in part] for part in parts])  # (M, L)
    return [t_interval(column, confidence) for column in values.T]

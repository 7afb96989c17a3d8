"""Knock-outs as a difference in differences: what a region costs the exposed model more than the
unexposed one, beyond what random cells cost.

Regions of Δ, chosen on training and validation clusters, are removed from both models of a pair
on the same test windows, both arms among them. The cost is the suffix's log-probability that is
lost, in nats. From the region's cost that of matched random regions is taken, and from the
exposed model's remainder the unexposed model's. Two kinds of random regions are matched layer
by layer and block by block: in number of cells, and in the attention that they hold on the very
windows that are measured. A third control is the region that a scorer of redrawn arms finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from engram.crossed.accuracy import arm_weights
from engram.io.hashing import uniform
from engram.knockout.regions import random_region, top_cells
from engram.lm.conditions import Condition
from engram.nursery.arms import FIRST, SECOND
from engram.scores.bootstrap import Interval, cluster_sums

INTACT, DELTA = "intact", "delta"
CONTROLS = ("cells", "mass", "redrawn")
"""Random cells, as many; random cells of as much attention; the region of redrawn arms."""


def measured_windows(windows: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """Return the test windows on which regions are knocked out: of either arm the first by
    permanent random numbers, in equal numbers per stratum, at most `most` together.
    """
    test = windows[(windows["split"] == "test") & windows["arm"].isin([FIRST, SECOND])]
    number = uniform(test["sequence_id"].to_numpy(), seed, "crossed knock-out")
    test = test.iloc[number.argsort()]
    cells = test.groupby(["stratum", "arm"]).ngroups
    chosen = test[test.groupby(["stratum", "arm"]).cumcount() < max(1, most // max(cells, 1))]
    return chosen.sort_values("sequence_id", ignore_index=True)


def trials(
    delta: np.ndarray,
    redrawn: np.ndarray,
    mass: np.ndarray,
    prefix: int,
    sizes: Sequence[float],
    draws: int,
    seed: int,
) -> tuple[pd.DataFrame, list[Condition]]:
    """Return the knock-outs of a pair: names and conditions, in one order.

    Args:
        delta: Δ, (L, P).
        redrawn: Δ of redrawn arms, (C, L, P).
        mass: mean attention of both models on the measured windows, (L, P).
        prefix: tokens of the prefix.
        sizes: shares of all cells.
        draws: random regions of each kind.
        seed: of the draws.

    Returns:
        kind (`intact`, `delta` or one of `CONTROLS`), size, draw (from 1; 0 where nothing is
        drawn), cells, mass (attention that the cells hold); and the conditions.
    """
    rows: list[tuple[str, float, int, np.ndarray | None]] = [(INTACT, 0.0, 0, None)]
    for s, size in enumerate(sizes):
        region = top_cells(delta, size)
        rows.append((DELTA, size, 0, region))
        for kind, given in (("cells", None), ("mass", mass)):
            for draw in range(1, draws + 1):
                generator = np.random.default_rng([seed, s, draw, given is not None])
                rows.append((kind, size, draw, random_region(region, prefix, generator, given)))
        rows += [
            ("redrawn", size, draw, top_cells(other, size))
            for draw, other in enumerate(redrawn[:draws], start=1)
        ]
    names = pd.DataFrame(
        [
            {
                "kind": kind,
                "size": size,
                "draw": draw,
                "cells": 0 if region is None else int(region.sum()),
                "mass": 0.0 if region is None else float(mass[region].sum()),
            }
            for kind, size, draw, region in rows
        ]
    )
    return names, [
        Condition() if region is None else Condition(cells=region) for *_, region in rows
    ]


def knockout_rows(
    names: pd.DataFrame,
    windows: pd.DataFrame,
    measures: Sequence[np.ndarray],
    suffix: int,
) -> pd.DataFrame:
    """Return what every knock-out cost either model on every window.

    Args:
        names: as `trials` gives them, C.
        windows: as `measured_windows` gives them, n.
        measures: of both models, (C, n, 3) each: extracted, matched fraction, log-probability of
            the suffix in nats per token.
        suffix: tokens of the suffix.

    Returns:
        the columns of `names`; sequence_id, cluster, stratum, arm; exposed and unexposed: nats of
        the suffix's log-probability that the removal costs; both_extract (both models extract the
        suffix intact), extracts_exposed, extracts_unexposed (under the knock-out).
    """
    first = (windows["arm"] == FIRST).to_numpy()
    lost = [suffix * (values[0, :, 2] - values[:, :, 2]) for values in measures]  # (C, n)
    found = [values[:, :, 0] > 0 for values in measures]
    count, n = lost[0].shape
    columns = ["sequence_id", "cluster", "stratum", "arm"]
    table = names.loc[names.index.repeat(n)].reset_index(drop=True)
    table[columns] = pd.concat([windows[columns]] * count, ignore_index=True)
    table["exposed"] = np.where(first, lost[0], lost[1]).ravel()
    table["unexposed"] = np.where(first, lost[1], lost[0]).ravel()
    table["both_extract"] = np.tile(found[0][0] & found[1][0], count)
    table["extracts_exposed"] = np.where(first, found[0], found[1]).ravel()
    table["extracts_unexposed"] = np.where(first, found[1], found[0]).ravel()
    return table


def difference_table(rows: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Return the difference in differences of a pair, per stratum, size and control.

    Args:
        rows: as `knockout_rows` gives them.
        confidence: of the interval over clusters.

    Returns:
        stratum (`all` too), size, control, windows, clusters; exposed and unexposed: nats that the
        region costs either model beyond the control; difference: exposed − unexposed, with its
        interval; rank: share of the control's draws whose own exposed − unexposed is not below the
        region's, (1 + count) / (1 + draws); extraction_exposed and extraction_unexposed: of the
        windows that both models extract intact (both_extract of them), the share that the region
        takes away beyond the control.
    """
    found = [
        names | _difference(region, drawn, confidence)
        for names, region, drawn in _comparisons(rows)
    ]
    return pd.DataFrame(found)


def influences(rows: pd.DataFrame) -> dict[tuple[str, float, str], pd.Series]:
    """Return what each cluster adds to the error of the difference in differences of a pair, for
    every stratum, size and control of `difference_table`.
    """
    found = {}
    for names, region, drawn in _comparisons(rows):
        exposed, unexposed, weight = _beyond(region, drawn)
        part = _cluster_errors(exposed - unexposed, weight, region["cluster"].to_numpy())
        found[names["stratum"], names["size"], names["control"]] = part
    return found


def _comparisons(
    rows: pd.DataFrame,
) -> Iterator[tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]]:
    """Yield stratum, size and control, with the rows of the region and of the control's draws."""
    for stratum in ("all", *sorted(rows["stratum"].unique())):
        own = rows if stratum == "all" else rows[rows["stratum"] == stratum]
        for size in sorted(set(own["size"]) - {0.0}):
            of_size = own[own["size"] == size]
            region = of_size[of_size["kind"] == DELTA].set_index("sequence_id")
            for control in CONTROLS:
                drawn = of_size[of_size["kind"] == control]
                if len(drawn):
                    yield {"stratum": stratum, "size": size, "control": control}, region, drawn


def _beyond(region: pd.DataFrame, drawn: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what the region costs the exposed and the unexposed model beyond the control, and the
    weight of every window, (n,) each.
    """
    columns = ["exposed", "unexposed"]
    beyond = region[columns] - drawn.groupby("sequence_id")[columns].mean().loc[region.index]
    sign = np.where(region["arm"] == FIRST, 1, -1)
    weight = arm_weights(sign[:, None], region["stratum"].to_numpy(str))[:, 0]
    if not weight.sum():
        weight = np.ones(len(region))
    return (*beyond.to_numpy().T, weight / weight.sum())


def _difference(region: pd.DataFrame, drawn: pd.DataFrame, confidence: float) -> dict[str, object]:
    exposed, unexposed, weight = _beyond(region, drawn)
    per_draw = drawn.assign(margin=drawn["exposed"] - drawn["unexposed"]).pivot(
        index="sequence_id", columns="draw", values="margin"
    )
    margins = weight @ per_draw.loc[region.index].to_numpy()  # (draws,)
    own = float(weight @ (region["exposed"] - region["unexposed"]).to_numpy())
    both = region["both_extract"].to_numpy(bool)
    columns = ["extracts_exposed", "extracts_unexposed"]
    mean = drawn.groupby("sequence_id")[columns].mean().loc[region.index]
    taken = {
        f"extraction_{name}": (
            mean.loc[both, f"extracts_{name}"] - region.loc[both, f"extracts_{name}"]
        ).mean()
        for name in ("exposed", "unexposed")
    }
    return {
        "windows": len(region),
        "clusters": region["cluster"].nunique(),
        "exposed": float(weight @ exposed),
        "unexposed": float(weight @ unexposed),
        **mean_interval(
            exposed - unexposed, weight, region["cluster"].to_numpy(), confidence
        ).columns("difference"),
        "rank": (1 + (margins >= own).sum()) / (1 + len(margins)),
        "both_extract": int(both.sum()),
        **taken,
    }


def mean_interval(
    values: np.ndarray, weight: np.ndarray, cluster: np.ndarray, confidence: float
) -> Interval:
    """Return a weighted mean of unbounded values and its interval over clusters, by Student's t.

    Args:
        values: of windows, (n,).
        weight: of them; they sum to 1.
        cluster: that each belongs to.
        confidence: nominal coverage.
    """
    mean = float(weight @ values)
    errors = _cluster_errors(values, weight, cluster)
    if len(errors) < 2:
        return Interval(mean, np.nan, np.nan)
    half = float(stdtrit(len(errors) - 1, (1 + confidence) / 2) * np.sqrt(np.square(errors).sum()))
    return Interval(mean, mean - half, mean + half)


def _cluster_errors(values: np.ndarray, weight: np.ndarray, cluster: np.ndarray) -> pd.Series:
    """Return what each cluster adds to the error of a weighted mean; the squares sum to its
    variance.
    """
    sums, _ = cluster_sums((weight * (values - weight @ values))[:, None], cluster)
    count = len(sums)
    return pd.Series(sums[:, 0] * np.sqrt(count / max(count - 1, 1)), index=pd.unique(cluster))

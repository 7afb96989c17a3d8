"""Means of measured values in the exposed and in the unexposed model, on the same windows.

Both arms of a stratum have the same weight, so that what separates the two models on every text (a
fingerprint) cancels. Errors come from sums over clusters of what each window adds to the estimate,
about the mean of its stratum and arm; the ends of the interval are Student's t. The chance of a
difference as large comes from the arms drawn again by cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from engram.crossed.accuracy import arm_weights
from engram.crossed.effects import of_stratum_mask
from engram.crossed.null import Arms
from engram.crossed.pair import TESTED
from engram.crossed.tables import ALL_PAIRS
from engram.scores.bootstrap import cluster_sums


@dataclass(frozen=True)
class PairValues:
    """Values that were measured in both models of a pair."""

    arms: Arms
    """Of n windows, with R redraws."""
    first: pd.DataFrame
    """Of model 1, n rows and a column per value."""
    second: pd.DataFrame
    """Of model 2."""


@dataclass(frozen=True)
class _Contrast:
    """The difference of F values in one pair, on test windows."""

    windows: int
    exposed: np.ndarray
    """(F,), as the following."""
    unexposed: np.ndarray
    spread: np.ndarray
    """Standard deviation within strata and arms in the unexposed model."""
    influence: pd.DataFrame
    """What each cluster adds to the error of the difference, (clusters, F)."""
    groups: int
    """Strata and arms, each with its own mean."""
    redrawn: np.ndarray
    """Differences under redrawn arms, (R, F)."""


def mean_differences(pairs: Mapping[str, PairValues], confidence: float) -> pd.DataFrame:
    """Return the difference of every value between the exposed and the unexposed model of each
    pair, and where there are several, of all pairs: these models, other windows.

    Args:
        pairs: by name; all have the same values.
        confidence: of the intervals over clusters.

    Returns:
        pair; what names the columns of the values; stratum (`natural`, `all` too); windows (summed
        over pairs), clusters; exposed and unexposed (means); difference, exposed − unexposed, with
        its interval; standardized, the difference in standard deviations over windows of a stratum
        in the unexposed model; p (two-sided), redraws.
    """
    tables = []
    for stratum in TESTED:
        contrasts = {
            name: contrast
            for name, values in pairs.items()
            if (contrast := _contrast(values, stratum)) is not None
        }
        chosen = {name: [contrast] for name, contrast in contrasts.items()}
        if len(pairs) > 1 and len(contrasts) == len(pairs):
            chosen = {ALL_PAIRS: [*contrasts.values()], **chosen}
        for name, own in chosen.items():
            names = next(iter(pairs.values())).first.columns.to_frame(index=False)
            names.insert(0, "pair", name)
            tables.append(
                pd.concat([names.assign(stratum=stratum), _rows(own, confidence)], axis=1)
            )
    table = pd.concat(tables, ignore_index=True)
    order = {name: number for number, name in enumerate((ALL_PAIRS, *pairs))}
    return table.sort_values("pair", key=lambda pair: pair.map(order), kind="stable").reset_index(
        drop=True
    )


def _contrast(values: PairValues, stratum: str) -> _Contrast | None:
    """Return the contrast on the test windows of a stratum; None without both arms."""
    windows = values.arms.windows
    rows = windows.rows("test", among=of_stratum_mask(windows.stratum, stratum))
    labels, strata = values.arms.drawn[rows].astype(float), windows.stratum[rows]
    weights = arm_weights(labels, strata)  # (n, 1 + R)
    totals = weights.sum(axis=0)
    if not len(rows) or not totals[0]:
        return None
    # Redraws that leave a stratum one arm alone give it no weight.
    weights = np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0)
    one, two = (frame.to_numpy(np.float64)[rows] for frame in (values.first, values.second))
    sign, weight = labels[:, 0], weights[:, 0]
    exposed = np.where(sign[:, None] > 0, one, two)
    unexposed = np.where(sign[:, None] > 0, two, one)
    group, names = pd.factorize(np.char.add(strata, np.where(sign > 0, "+", "-")))
    sums, _ = cluster_sums(
        weight[:, None] * (exposed - unexposed - _group_means(exposed - unexposed, group)),
        values.arms.cluster[rows],
    )
    # Within arms, because the unexposed model of one arm is not that of the other.
    inside = unexposed - _group_means(unexposed, group)
    return _Contrast(
        len(rows),
        weight @ exposed,
        weight @ unexposed,
        np.sqrt(np.square(inside).mean(axis=0)),
        pd.DataFrame(sums, index=pd.unique(values.arms.cluster[rows])),
        len(names),
        ((weights * labels)[:, 1:]).T @ (one - two),
    )


def _group_means(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the mean of its group for every window, (n, F)."""
    sums, sizes = cluster_sums(values, group)
    means = sums / sizes[:, None]
    first_seen = pd.factorize(group)[0]
    result: np.ndarray = means[first_seen]
    return result


def _rows(contrasts: Sequence[_Contrast], confidence: float) -> pd.DataFrame:
    """Return the mean over pairs, a row per value."""
    exposed, unexposed, spread, redrawn = (
        np.mean([getattr(contrast, name) for contrast in contrasts], axis=0)
        for name in ("exposed", "unexposed", "spread", "redrawn")
    )
    joint = pd.concat([contrast.influence for contrast in contrasts])
    joint = joint.groupby(level=0).sum() / len(contrasts)  # (clusters, F)
    clusters, difference = len(joint), exposed - unexposed
    freedom = clusters - max(contrast.groups for contrast in contrasts)
    error = np.full(len(difference), np.nan)
    if freedom > 0:
        error = np.sqrt(np.square(joint.to_numpy()).sum(axis=0) * clusters / freedom)
    half = error * float(stdtrit(max(freedom, 1), (1 + confidence) / 2))
    # Rounding must not tell a redraw that repeats the design's arms from the design.
    reaches = np.abs(redrawn) >= np.abs(difference) * (1 - 1e-9)
    return pd.DataFrame(
        {
            "windows": sum(contrast.windows for contrast in contrasts),
            "clusters": clusters,
            "exposed": exposed,
            "unexposed": unexposed,
            "difference": difference,
            "difference_low": difference - half,
            "difference_high": difference + half,
            "standardized": np.divide(
                difference, spread, out=np.full(len(difference), np.nan), where=spread > 0
            ),
            "p": (1 + reaches.sum(axis=0)) / (1 + len(redrawn)),
            "redraws": len(redrawn),
        }
    )

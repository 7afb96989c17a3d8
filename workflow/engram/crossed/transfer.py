"""Transfer: does the scorer of one pair name the exposed model of another pair, of the same base or
of another one?

The weights and the scale of the features are those of the pair that the scorer was trained in. The
intercept is not: which of two models has the higher score on every text is a matter of the pair, so
it is the midpoint of both arms' scores on the tested pair's own training and validation windows.
Test windows are those of the tested pair whose cluster is in no training or validation split of the
other pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engram.crossed.accuracy import arm_accuracies, auroc
from engram.crossed.effects import of_stratum_mask
from engram.crossed.intervals import ClusteredShare, over_windows
from engram.crossed.null import Arms
from engram.crossed.pair import TESTED, scopes, share_of
from engram.crossed.scorer import (
    feature_scale,
    fit,
    inner_products,
    midpoint_offsets,
    standardised,
)
from engram.crossed.tables import ALL_PAIRS

SAME_BASE, OTHER_BASE = "same base", "other base"
TRANSFER_KEY = ("input", "trained_on", "tested_on")


@dataclass(frozen=True)
class Pair:
    """A pair of models, with the windows that both were asked for."""

    name: str
    base: str
    windows: pd.DataFrame
    """As `engram.crossed.effects.outcomes` gives them, n rows."""
    arms: Arms
    differences: Mapping[str, np.ndarray]
    """Input → model 1 − model 2, (n, F)."""


@dataclass(frozen=True)
class Transfer:
    """What a scorer of one pair reaches on another one's windows."""

    kind: str
    trained_in: str
    tested_in: str
    key: tuple[str, str, str]
    """Input, trained_on, tested_on."""
    share: ClusteredShare
    clusters: int
    accuracy: np.ndarray
    """With the design's own arms of the tested pair, then with R redraws of them, (1 + R,)."""
    auroc: float


def transfers(pairs: Sequence[Pair]) -> Iterator[Transfer]:
    """Yield every transfer between two pairs whose inputs have the same shape.

    Args:
        pairs: of a study.
    """
    for name in pairs[0].differences if pairs else ():
        differences = [pair.differences[name] for pair in pairs]
        for source, own in zip(pairs, differences, strict=True):
            others = [
                (pair, difference)
                for pair, difference in zip(pairs, differences, strict=True)
                if pair is not source and difference.shape[1] == own.shape[1]
            ]
            yield from _of_scorer(name, source, own, others)


def transfer_table(found: Sequence[Transfer], confidence: float) -> pd.DataFrame:
    """Return a row per transfer, and the mean of all transfers to pairs of the same base and to
    pairs of other bases.

    Args:
        found: as `transfers` yields them.
        confidence: of the intervals over clusters: these models, other windows.

    Returns:
        bases (`same base`, `other base`), trained_in, tested_in (`all pairs` for means),
        `TRANSFER_KEY`, pairs (transfers that the row is the mean of), windows, clusters, accuracy
        with its interval, auroc, p, null_median, null_95. The null distribution redraws the arms of
        the tested pairs by cluster; a pair that several scorers are tested in is redrawn once for
        all of them.
    """
    groups: dict[tuple[str, ...], list[Transfer]] = {}
    for one in found:
        groups.setdefault((one.kind, ALL_PAIRS, ALL_PAIRS, *one.key), []).append(one)
    rows = [_row(key, own, confidence) for key, own in groups.items()]
    rows += [_row((t.kind, t.trained_in, t.tested_in, *t.key), [t], confidence) for t in found]
    return pd.DataFrame(rows)


def _of_scorer(
    name: str, source: Pair, own: np.ndarray, others: list[tuple[Pair, np.ndarray]]
) -> Iterator[Transfer]:
    """Yield the transfers of one pair's scorers of one input."""
    windows = source.arms.windows
    products = inner_products(own, windows)
    scale = feature_scale(own, windows)
    stratum = source.windows["stratum"].to_numpy(str)
    fits = {
        scope: fit(
            products, source.arms.drawn[:, :1], windows, among=of_stratum_mask(stratum, scope)
        )
        for scope in scopes(source.arms, stratum)
    }
    mine = standardised(own, windows)
    seen = source.arms.cluster[windows.rows("train", "validation")]
    for pair, difference in others:
        scaled = np.divide(
            difference, scale, out=np.zeros(difference.shape, np.float32), where=scale > 0
        )
        kind = SAME_BASE if pair.base == source.base else OTHER_BASE
        for scope, fitted in fits.items():
            raw = (scaled @ mine[fitted.rows].T) @ fitted.weight[:, 0]  # (n,)
            new = ~np.isin(pair.arms.cluster, seen)
            for tested in TESTED:
                reached = _reached(pair, raw, new, tested)
                if reached is not None:
                    key = (name, scope, tested)
                    yield Transfer(kind, source.name, pair.name, key, *reached)


def _reached(
    pair: Pair, raw: np.ndarray, new: np.ndarray, tested: str
) -> tuple[ClusteredShare, int, np.ndarray, float] | None:
    """Return share, clusters, accuracy (1 + R,) and AUROC on a pair's test windows, of scores (n,)
    without an intercept; None where the windows lack an arm.
    """
    windows, drawn = pair.arms.windows, pair.arms.drawn
    stratum = windows.stratum
    among = of_stratum_mask(stratum, tested)
    test = windows.rows("test", among=among & new)
    if len(set(windows.arm[test])) < 2:
        return None
    values = np.repeat(raw[test, None], drawn.shape[1], axis=1)
    for part in np.unique(stratum[test]):
        known = windows.rows("train", "validation", among=stratum == part)
        values[stratum[test] == part] -= midpoint_offsets(raw[known, None], drawn[known])
    some = pair.windows.iloc[test]
    share = share_of(values[:, 0], some, windows.arm[test].astype(int))
    accuracy = arm_accuracies(values, drawn[test], stratum[test]).mean
    separated = auroc(values[:, :1], drawn[test, :1], stratum[test])
    return share, some["cluster"].nunique(), accuracy, float(separated[0])


def _row(key: tuple[str, ...], own: Sequence[Transfer], confidence: float) -> dict[str, object]:
    names = ("bases", "trained_in", "tested_in", *TRANSFER_KEY)
    accuracy = np.mean([transfer.accuracy for transfer in own], axis=0)
    redrawn = accuracy[1:]
    null: dict[str, float] = dict.fromkeys(("p", "null_median", "null_95"), np.nan)
    if len(redrawn):
        above = int((redrawn >= accuracy[0] - 1e-12).sum())
        null = {
            "p": (1 + above) / (1 + len(redrawn)),
            "null_median": float(np.quantile(redrawn, 0.5)),
            "null_95": float(np.quantile(redrawn, 0.95)),
        }
    return {
        **dict(zip(names, key, strict=True)),
        "pairs": len(own),
        "windows": sum(transfer.share.windows for transfer in own),
        "clusters": max(transfer.clusters for transfer in own),
        **over_windows([transfer.share for transfer in own], confidence).columns("accuracy"),
        "auroc": float(np.mean([transfer.auroc for transfer in own])),
        **null,
    }

"""What a paired scorer would reach if the arms had been drawn differently.

Arms are drawn again by cluster, as the design drew them, and everything is fitted again: the
strength of the penalty, the weights, the intercept. The text, both models' maps and the split stay
as they are. If exposure changed nothing, the result is one more draw of these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from engram.crossed.accuracy import arm_accuracies, auroc
from engram.crossed.scorer import (
    STRENGTHS,
    Prepared,
    Windows,
    fit_prepared,
    midpoint_offsets,
    scores,
)
from engram.nursery.arms import FIRST, SECOND, Clusters, redraw_arms, single_clusters

BATCH = 250
"""Redraws that are fitted at a time."""


@dataclass(frozen=True)
class Arms:
    """The arms of a design as drawn, and drawn again."""

    windows: Windows
    cluster: np.ndarray
    """Of every window, (n,)."""
    drawn: np.ndarray
    """+1, -1 or 0, int8 (n, 1 + R); the first column is the design's own."""


def redrawn(design: pd.DataFrame, draws: int, seed: int) -> Arms:
    """Return a design's arms with `draws` redraws.

    Args:
        design: as `engram.nursery.arms.draw_design` gives it, n windows.
        draws: R.
        seed: of the redraws.
    """
    own = np.select([design["arm"] == FIRST, design["arm"] == SECOND], [1, -1], 0).astype(np.int8)
    windows = Windows(own, design["stratum"].to_numpy(str), design["split"].to_numpy(str))
    clusters: Clusters = single_clusters(design)
    again = redraw_arms(clusters, draws, np.random.default_rng([seed, 23]))  # (G, R)
    drawn = np.zeros((len(design), 1 + draws), np.int8)
    drawn[:, 0] = own
    place = pd.Index(clusters.name).get_indexer(pd.Index(design["cluster"]))
    drawn[own != 0, 1:] = again[place[own != 0]]
    return Arms(windows, design["cluster"].to_numpy(), drawn)


@dataclass(frozen=True)
class Reached:
    """What scorers reach on test windows, the design's own first and then R redraws."""

    rows: np.ndarray
    """The windows, (r,)."""
    score: np.ndarray
    """Of the design's own scorer, (r,); above 0 for model 1."""
    accuracy: np.ndarray
    """Mean of both arms', (1 + R,)."""
    first: float
    """Accuracy where model 1 is exposed."""
    second: float
    auroc: np.ndarray
    """(1 + R,)."""

    @property
    def p(self) -> float:
        """Chance of an accuracy as high if exposure changed nothing."""
        redrawn = self.accuracy[1:]
        return float((1 + (redrawn >= self.accuracy[0] - 1e-12).sum()) / (1 + len(redrawn)))

    def null_quantile(self, share: float) -> float:
        """Return a quantile of the redraws' accuracy; NaN without redraws."""
        return float(np.quantile(self.accuracy[1:], share)) if len(self.accuracy) > 1 else np.nan


def try_scorer(
    products: np.ndarray,
    arms: Arms,
    trained: np.ndarray,
    tested: dict[str, np.ndarray],
    strengths: tuple[float, ...] = STRENGTHS,
) -> dict[str, Reached]:
    """Fit the scorers of all label vectors and test each on sets of test windows.

    The intercept of a stratum that no scorer was trained on comes from its own training windows:
    which model has the higher score there says nothing about a test window, whose arm is drawn
    apart.

    Args:
        products: inner products (n, n) of the windows' differences.
        arms: the label vectors.
        trained: windows that scorers may be trained on, bool (n,).
        tested: sets of windows by name, bool (n,) each; only their test windows of one arm count.
        strengths: see `engram.crossed.scorer.fit`.
    """
    windows, total = arms.windows, arms.drawn.shape[1]
    rows = {name: windows.rows("test", among=part) for name, part in tested.items()}
    test = np.unique(np.concatenate([*rows.values(), np.empty(0, np.int64)])).astype(np.int64)
    kept: list[np.ndarray] = []
    prepared = Prepared(products, windows, trained)
    for start in range(0, total, BATCH):
        labels = arms.drawn[:, start : start + BATCH]
        fitted = fit_prepared(prepared, labels, strengths)
        values = scores(products, fitted, test, windows.stratum)
        for name in set(windows.stratum[test]) - set(fitted.strata):
            own = windows.rows("train", "validation", among=windows.stratum == name)
            shift = midpoint_offsets(scores(products, fitted, own, windows.stratum), labels[own])
            values[windows.stratum[test] == name] -= shift
        kept.append(values)
    values = np.concatenate(kept, axis=1)  # (t, 1 + R)
    found = {}
    for name, part in rows.items():
        own = np.searchsorted(test, part)
        labels, stratum = arms.drawn[part], windows.stratum[part]
        accuracy = arm_accuracies(values[own], labels, stratum)
        found[name] = Reached(
            part,
            values[own, 0],
            accuracy.mean,
            float(accuracy.first[0]),
            float(accuracy.second[0]),
            auroc(values[own], labels, stratum),
        )
    return found

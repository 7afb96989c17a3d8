"""Where the paired scorer finds the exposure: Δ of the difference of two models' attention.

Δ of a cell is its weight times half the difference of its mean between both arms (of model 1 −
model 2): what the cell adds to the margin between the exposed and the unexposed model. Whatever
both models have in common on a text, and whatever separates them on all texts, cancels. Weights
come from one random half of the training and validation clusters and means from the other, over
many halves: the mean is Δ, and the halves say how stable its regions are. The test windows take no
part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engram.crossed.accuracy import arm_accuracies, arm_weights
from engram.crossed.null import Arms
from engram.crossed.scorer import Windows, fit, scores, standardised
from engram.io.packing import query_key, window_length
from engram.knockout.regions import check_bands


@dataclass(frozen=True)
class PairedDelta:
    """Δ of a pair's scorers."""

    delta: np.ndarray
    """Mean over halves, (L, P); it sums to half the margin between the arms."""
    halves: np.ndarray
    """Of every half, float32 (J, L, P)."""
    redrawn: np.ndarray
    """Of scorers that were trained on redrawn arms, float32 (R, L, P): what is found where there
    is nothing to find."""


def paired_delta(
    difference: np.ndarray,
    arms: Arms,
    halves: int,
    seed: int,
    redrawn_halves: int,
    among: np.ndarray | None = None,
) -> PairedDelta:
    """Return Δ of scorers trained on random halves of the training and validation clusters.

    Args:
        difference: attention of model 1 − model 2, (n, L, P).
        arms: the design's own arms and R redraws.
        halves: J.
        seed: of the halves.
        redrawn_halves: on how many of the halves scorers of the redrawn arms are trained, 1 to J.
        among: windows that may be used, bool (n,).
    """
    n, *shape = difference.shape
    flat = standardised(difference.reshape(n, -1), arms.windows)  # (n, F)
    products = (flat @ flat.T).astype(np.float64)
    stratum = arms.windows.stratum
    rows = arms.windows.rows("train", "validation", among=among)
    own = np.zeros(n, bool)
    own[rows] = True
    clusters = np.unique(arms.cluster[rows])
    of_halves = np.empty((halves, flat.shape[1]), np.float32)
    redrawn = np.zeros((arms.drawn.shape[1] - 1, flat.shape[1]), np.float32)
    for half in range(halves):
        generator = np.random.default_rng([seed, 31, half])
        chosen = generator.permutation(clusters)[: len(clusters) // 2]
        # The fifth part of a half chooses the strength of the penalty.
        held = generator.permutation(chosen)[: len(chosen) // 5]
        split = np.full(n, "test", dtype="U10")
        split[own & np.isin(arms.cluster, chosen)] = "train"
        split[own & np.isin(arms.cluster, held)] = "validation"
        windows = Windows(arms.windows.arm, stratum, split)
        # One decomposition of the windows serves the redrawn arms as well.
        labels = arms.drawn if half < redrawn_halves else arms.drawn[:, :1]
        fitted = fit(products, labels, windows, among)
        weight = fitted.weight.T.astype(np.float32) @ flat[fitted.rows]  # (1 + R, F)
        other = np.flatnonzero(own & (split == "test"))
        balance = arm_weights(labels[other], stratum[other]) * labels[other]  # (o, 1 + R)
        balance /= np.maximum(np.abs(balance).sum(axis=0), np.finfo(np.float64).tiny)
        delta = weight * (balance.T.astype(np.float32) @ flat[other])
        of_halves[half] = delta[0]
        if half < redrawn_halves:
            redrawn += delta[1:] / redrawn_halves
    return PairedDelta(
        of_halves.mean(axis=0).reshape(shape),
        of_halves.reshape(halves, *shape),
        redrawn.reshape(-1, *shape),
    )


def layer_table(
    difference: np.ndarray,
    delta: PairedDelta,
    arms: Arms,
    bands: Sequence[Sequence[int]],
    among: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return Δ and the accuracy of a scorer that sees nothing else, per layer and distance band.

    Args:
        difference: attention of model 1 − model 2, (n, L, P).
        delta: of it.
        arms: the label vectors; those after the first give the null distribution.
        bands: distances (low, high) of query and key.
        among: windows that may be used, bool (n,).

    Returns:
        layer (from 1; 0: all layers), band (`all` or `4-7`), cells, delta (share of the whole),
        delta_sd (over halves, of the same share), largest (share of the halves in which this is the
        layer, band, or both, of largest Δ), accuracy (on test windows), null_95.
    """
    n, layers, packed = difference.shape
    queries, keys = query_key(window_length(packed))
    distance = queries - keys
    named = {"all": np.ones(packed, bool)}
    for low, high in check_bands(bands, window_length(packed)):
        named[f"{low}-{high}"] = (distance >= low) & (distance <= high)
    flat = standardised(difference.reshape(n, -1), arms.windows).reshape(difference.shape)
    whole = delta.delta.sum() or 1.0
    rows, sums = [], []
    for layer in range(layers + 1):
        for band, cells in named.items():
            chosen = slice(None) if layer == 0 else slice(layer - 1, layer)
            part = flat[:, chosen][:, :, cells].reshape(n, -1)
            value, limit = _block_accuracy(part, arms, among)
            of_halves = delta.halves[:, chosen][:, :, cells].sum(axis=(1, 2))
            sums.append(of_halves)
            rows.append(
                {
                    "layer": layer,
                    "band": band,
                    "cells": part.shape[1],
                    "delta": delta.delta[chosen][:, cells].sum() / whole,
                    "delta_sd": of_halves.std(ddof=1) / abs(whole),
                    "accuracy": value,
                    "null_95": limit,
                }
            )
    table = pd.DataFrame(rows)
    values = np.stack(sums)  # (rows, J)
    table.insert(5, "largest", np.nan)
    kind = 2 * (table["layer"] > 0) + (table["band"] != "all")
    for number in (1, 2, 3):
        own = np.flatnonzero(kind == number)
        best = values[own].argmax(axis=0)
        table.loc[own, "largest"] = np.bincount(best, minlength=len(own)) / values.shape[1]
    return table


def _block_accuracy(part: np.ndarray, arms: Arms, among: np.ndarray | None) -> tuple[float, float]:
    """Return the accuracy of a scorer of these features on test windows, and the 95 % quantile of
    redraws; NaN without any.
    """
    products = (part @ part.T).astype(np.float64)
    test = arms.windows.rows("test", among=among)
    fitted = fit(products, arms.drawn, arms.windows, among)
    value = scores(products, fitted, test, arms.windows.stratum)
    mean = arm_accuracies(value, arms.drawn[test], arms.windows.stratum[test]).mean
    return float(mean[0]), float(np.quantile(mean[1:], 0.95)) if len(mean) > 1 else np.nan

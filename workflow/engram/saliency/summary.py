"""What Δ says in numbers and words: by layer, by distance, by block, and its top regions.

All are shares of a class's Δ, means over CNNs and samples, with bootstrap intervals over CNNs and
groups of samples. Beside them stands the share of the attention itself (of the largest head), which
Δ would follow if the evidence were the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from engram.saliency.file import BLOCKS, Saliency
from engram.saliency.ranks import interval

LOCAL = 3
"""Tokens of distance that still count as local."""
_FALL = 0.5
"""A region grows over layers and distances whose Δ per cell is at least this part of its peak's."""
_REGIONS = 3
"""Regions that are told per class."""
_FEWEST_CELLS = 4
"""A bin of fewer cells, such as the largest distances, belongs to no region."""
_BLOCK_WORDS = (
    "key is the first token",
    "within the prefix",
    "suffix looks back at keys in the prefix",
    "within the suffix",
)


@dataclass(frozen=True)
class Draws:
    """Δ and attention of drawn CNNs and groups; the first draw is the estimate."""

    delta: np.ndarray
    """Shares of a class's Δ, (R, K, L, B, T); 0 for a class without Δ."""
    attention: np.ndarray
    """Shares of a class's attention, (K, L, B, T)."""
    cells: np.ndarray
    """Cells of each bin, (B, T)."""
    confidence: float
    """Nominal coverage."""


def draw(saliency: Saliency, resamples: int, confidence: float, seed: int) -> Draws:
    """Draws CNNs and groups of samples with replacement, independently (Owen, 2007)."""
    random = np.random.default_rng(seed)
    cnns, classes = saliency.binned.shape[:2]
    of_cnns = random.multinomial(cnns, np.full(cnns, 1 / cnns), resamples) / cnns
    of_cnns = np.concatenate([np.full((1, cnns), 1 / cnns), of_cnns]).astype(np.float32)  # (R, C)
    shape = saliency.binned.shape[3:]  # (L, B, T)
    found = np.empty((1 + resamples, classes, *shape), np.float32)
    for k in range(classes):
        filled = np.flatnonzero(saliency.sizes[k])
        drawn = random.multinomial(len(filled), np.full(len(filled), 1 / len(filled)), resamples)
        weights = np.concatenate([np.ones((1, len(filled))), drawn]).astype(np.float32)  # (R, G)
        sums = saliency.binned[:, k, filled].reshape(cnns * len(filled), -1)
        total = (of_cnns[:, :, None] * weights[:, None]).reshape(
            1 + resamples, -1
        ) @ sums  # (R, L·B·T)
        size = total.sum(axis=1, keepdims=True)
        found[:, k] = (total / np.where(size > 0, size, 1)).reshape(-1, *shape)
    attention = saliency.attention.sum(axis=1)  # (K, L, B, T)
    return Draws(
        found,
        attention / attention.sum(axis=(1, 2, 3), keepdims=True),
        saliency.bins.cells,
        confidence,
    )


def layer_shares(saliency: Saliency, drawn: Draws) -> pd.DataFrame:
    """class, layer (from 1), share, low, high, attention, n."""
    return _table(
        saliency,
        drawn,
        "layer",
        list(range(1, drawn.delta.shape[2] + 1)),
        drawn.delta.sum(axis=(3, 4)),
        drawn.attention.sum(axis=(2, 3)),
    )


def distance_shares(saliency: Saliency, drawn: Draws) -> pd.DataFrame:
    """class, distance (query minus key, in tokens), share, low, high, attention, n; all layers
    together.
    """
    names = list(range(drawn.delta.shape[4]))
    return _table(
        saliency,
        drawn,
        "distance",
        names,
        drawn.delta.sum(axis=(2, 3)),
        drawn.attention.sum(axis=(1, 2)),
    )


def block_shares(saliency: Saliency, drawn: Draws) -> pd.DataFrame:
    """class, region, share, low, high, attention, n. The four `BLOCKS` sum to 1; `local` (at most
    `LOCAL` tokens back, the first token apart) overlaps with them."""
    blocks, attention = (
        drawn.delta.sum(axis=(2, 4)),
        drawn.attention.sum(axis=(1, 3)),
    )  # (R, K, B), (K, B)
    local = (
        drawn.delta[..., 1:, : LOCAL + 1].sum(axis=(2, 3, 4)),
        drawn.attention[..., 1:, : LOCAL + 1].sum(axis=(1, 2, 3)),
    )
    values = (
        np.concatenate([blocks, local[0][..., None]], axis=2),
        np.concatenate([attention, local[1][:, None]], axis=1),
    )
    return _table(saliency, drawn, "region", [*BLOCKS, f"local (distance up to {LOCAL})"], *values)


def top_regions(saliency: Saliency, drawn: Draws) -> pd.DataFrame:
    """The regions of the most Δ per cell in words, at most three per class.

    A region is a box of layers and distances within one block. It begins at the bin of the greatest
    Δ per cell and grows by a layer or a distance at a time, to the side of more Δ per cell, as long
    as what it takes in has half of the beginning's; the next region begins outside. Its interval is
    that of the share of a region once found.

    Returns:
        class, rank, words, layers, block, distances, share, low, high, attention (share of the
        attention in the region), cells (share of all cells), n.
    """
    rows = []
    layers = drawn.delta.shape[2]
    for k, name in enumerate(saliency.classes):
        density = drawn.delta[0, k] / np.maximum(drawn.cells, 1)  # (L, B, T)
        density = np.where(drawn.cells >= _FEWEST_CELLS, density, 0)
        # A key of the first token has one cell at each distance: they count together.
        density[:, 0] = drawn.delta[0, k, :, 0].mean(axis=-1, keepdims=True)
        for rank in range(1, _REGIONS + 1):
            peak = np.unravel_index(density.argmax(), density.shape)
            if density[peak] <= 0:
                break
            block = int(peak[1])
            (top, bottom), (near, far) = _grow(density[:, block], (int(peak[0]), int(peak[2])))
            box = (slice(top, bottom + 1), block, slice(near, far + 1))
            value, low, high = interval(
                drawn.delta[:, k][:, box[0], box[1], box[2]].sum(axis=(1, 2)), drawn.confidence
            )
            cells = (
                drawn.cells[block, near : far + 1].sum()
                * (bottom + 1 - top)
                / (drawn.cells.sum() * layers)
            )
            where = {
                "layers": _span(top + 1, bottom + 1),
                "block": BLOCKS[block],
                "distances": _span(near, far),
            }
            words = f"layer{'s' if bottom > top else ''} {where['layers']}, {_BLOCK_WORDS[block]}"
            words += f", {_distance_words(near, far)}" if block else ""
            row = {
                "class": name,
                "rank": rank,
                "words": words,
                **where,
                "share": value,
                "low": low,
                "high": high,
            }
            rows.append(
                row
                | {"attention": drawn.attention[k][box].sum(), "cells": cells, "n": saliency.n[k]}
            )
            density[box] = 0
    return pd.DataFrame(rows)


def _grow(density: np.ndarray, peak: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The box of layers and distances around a peak of (L, T), both ends inclusive."""
    box = [[peak[0], peak[0]], [peak[1], peak[1]]]
    least = _FALL * density[peak]
    while True:
        best, side = least, None
        for axis in (0, 1):
            for end, step in ((0, -1), (1, 1)):
                line = box[axis][end] + step
                if not 0 <= line < density.shape[axis]:
                    continue
                other = slice(box[1 - axis][0], box[1 - axis][1] + 1)
                mean = density[line, other].mean() if axis == 0 else density[other, line].mean()
                if mean >= best:
                    best, side = mean, (axis, end, line)
        if side is None:
            return (box[0][0], box[0][1]), (box[1][0], box[1][1])
        box[side[0]][side[1]] = side[2]


def _span(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}–{last}"


def _distance_words(near: int, far: int) -> str:
    if far == 0:
        return "each token at itself"
    return f"distance {near}" if near == far else f"distances {near} to {far}"


def _table(
    saliency: Saliency,
    drawn: Draws,
    column: str,
    names: list,
    values: np.ndarray,
    attention: np.ndarray,
) -> pd.DataFrame:
    """Rows of shares (R, K, N) and attention (K, N)."""
    rows = []
    for k, name in enumerate(saliency.classes):
        for i, what in enumerate(names):
            value, low, high = interval(values[:, k, i], drawn.confidence)
            row = {"class": name, column: what, "share": value, "low": low, "high": high}
            rows.append(row | {"attention": float(attention[k, i]), "n": saliency.n[k]})
    return pd.DataFrame(rows)

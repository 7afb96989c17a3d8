"""What Δ says in numbers and words: by layer, by distance, by block, and its top regions.

All values are shares of a class's Δ, means over CNNs and samples, with bootstrap intervals over
CNNs and groups of samples. Next to them is the share of the attention itself (of the largest head),
which Δ would follow if the evidence were the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from engram.saliency.file import Saliency
from engram.scores.bootstrap import draw_counts, percentile_interval

LOCAL = 3
"""Tokens of distance that still count as local."""
_FALL = 0.5
"""A region grows over layers and distances whose Δ per cell is at least this part of its peak's."""
_REGIONS = 3
"""Regions per class that are put into words."""
_FEWEST_CELLS = 4
"""A bin of fewer cells, such as the largest distances, belongs to no region."""
_BLOCK_WORDS = (
    "key is the first token",
    "within the prefix",
    "suffix looks back at keys in the prefix",
    "within the suffix",
)


@dataclass(frozen=True)
class DrawnShares:
    """Draws of CNNs and groups of samples, and the shares of Δ in them; the first draw is the
    estimate.
    """

    saliency: Saliency
    """Whose Δ is divided into shares."""
    of_cnns: np.ndarray
    """How often each CNN is drawn, (1 + R, C)."""
    of_groups: tuple[np.ndarray, ...]
    """How often each group of samples is drawn, (1 + R, G) per class; groups without samples are
    left out."""
    confidence: float
    """Nominal coverage."""

    def shares(self, k: int, parts: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return the shares of a class's Δ that are in N parts of the map, (1 + R, N); 0 for a
        class without Δ.

        Args:
            k: index of the class.
            parts: sums over the bins of each part, from sums per bin (C, G, L, B, T) to (C, G, N).
        """
        filled = np.flatnonzero(self.saliency.sizes[k])
        binned = self.saliency.binned[:, k, filled].astype(np.float64)  # (C, G, L, B, T)
        total = self._drawn(k, binned.sum(axis=(2, 3, 4))[..., None])  # (1 + R, 1)
        return self._drawn(k, parts(binned)) / np.where(total > 0, total, 1)

    def means(self, k: int, parts: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return a class's Δ summed over the cells of N parts of the map, the mean over what is
        drawn of CNNs and samples, (1 + R, N); arguments as those of `shares`.
        """
        filled = np.flatnonzero(self.saliency.sizes[k])
        binned = self.saliency.binned[:, k, filled].astype(np.float64)  # (C, G, L, B, T)
        samples = self.of_groups[k] @ self.saliency.sizes[k][filled]  # (1 + R,)
        count = samples * self.of_cnns.sum(axis=1)
        return self._drawn(k, parts(binned)) / np.where(count > 0, count, 1)[:, None]

    def estimate(self, k: int) -> np.ndarray:
        """Return the share of a class's Δ in every bin, (L, B, T); 0 for a class without Δ."""
        total = self.saliency.binned[:, k].sum(axis=(0, 1), dtype=np.float64)
        return total / (total.sum() or 1)

    def attention(self, k: int) -> np.ndarray:
        """Return the share of a class's attention in every bin, (L, B, T)."""
        total = self.saliency.attention[k].sum(axis=0)
        return total / total.sum()

    def _drawn(self, k: int, sums: np.ndarray) -> np.ndarray:
        """Return sums (C, G, N) over what is drawn, (1 + R, N)."""
        return sum(
            counts[:, None] * (self.of_groups[k] @ of_cnn)
            for counts, of_cnn in zip(self.of_cnns.T, sums, strict=True)
        )


def draw_shares(saliency: Saliency, resamples: int, confidence: float, seed: int) -> DrawnShares:
    """Draw CNNs and groups of samples with replacement, independently (see
    `engram.scores.bootstrap`).
    """
    generator = np.random.default_rng(seed)
    of_cnns = draw_counts(generator, len(saliency.binned), resamples, estimate=True)
    of_groups = [
        draw_counts(generator, int(np.count_nonzero(sizes)), resamples, estimate=True)
        for sizes in saliency.sizes
    ]
    return DrawnShares(saliency, of_cnns, tuple(of_groups), confidence)


def layer_shares(drawn: DrawnShares) -> pd.DataFrame:
    """Tabulate Δ by layer: class, layer (from 1), share, low, high, attention, n."""
    layers = drawn.saliency.binned.shape[3]
    return _table(drawn, "layer", list(range(1, layers + 1)), _by_layer)


def layer_levels(drawn: DrawnShares) -> pd.DataFrame:
    """Tabulate Δ by layer on one scale for all classes (paper, Figure 6).

    Returns:
        class, layer (from 1), level (Δ summed over the layer's cells, as a share of the greatest
        such sum of any class and layer), low, high, n. Without any Δ all levels are 0.
    """
    means = [drawn.means(k, _by_layer) for k in range(len(drawn.saliency.classes))]  # (1 + R, L)
    greatest = max(own[0].max() for own in means) or 1.0
    rows = []
    for k, name in enumerate(drawn.saliency.classes):
        for layer, values in enumerate((means[k] / greatest).T, start=1):
            interval = percentile_interval(values[0], values[1:], drawn.confidence)
            row = {"class": name, "layer": layer, "level": interval.value}
            rows.append(
                row | {"low": interval.low, "high": interval.high, "n": drawn.saliency.n[k]}
            )
    return pd.DataFrame(rows)


def _by_layer(sums: np.ndarray) -> np.ndarray:
    """Return sums per bin (…, L, B, T) summed over the bins of a layer, (…, L)."""
    return sums.sum(axis=(-1, -2))


def distance_shares(drawn: DrawnShares) -> pd.DataFrame:
    """Tabulate Δ by distance over all layers: class, distance (query minus key, in tokens, or in
    rows of blockwise maps), share, low, high, attention, n.
    """
    distances = drawn.saliency.binned.shape[5]
    return _table(drawn, "distance", list(range(distances)), lambda sums: sums.sum(axis=(-2, -3)))


def block_shares(drawn: DrawnShares) -> pd.DataFrame:
    """Tabulate Δ by region: class, region, share, low, high, attention, n.

    The four blocks of `engram.saliency.file` sum to 1; `local` (at most `LOCAL` tokens, or rows of
    blockwise maps, back, except at the first one) overlaps with them.
    """

    def parts(sums: np.ndarray) -> np.ndarray:
        blocks = sums.sum(axis=(-1, -3))  # (…, B)
        local = sums[..., 1:, : LOCAL + 1].sum(axis=(-1, -2, -3))
        return np.concatenate([blocks, local[..., None]], axis=-1)

    names = [*drawn.saliency.parts, f"local (distance up to {LOCAL}{_unit(drawn.saliency.block)})"]
    return _table(drawn, "region", names, parts)


def top_regions(drawn: DrawnShares) -> pd.DataFrame:
    """Put the regions of the most Δ per cell into words, at most three per class.

    A region is a box of layers and distances within one block. It begins at the bin of the greatest
    Δ per cell and grows by a layer or a distance at a time, towards more Δ per cell, as long as
    what it takes in has half of the beginning's; the next region begins outside it. Its interval is
    that of the share of the region once it is chosen.

    Returns:
        class, rank, words, layers, block, distances, share, low, high, attention (share of the
        attention in the region), cells (share of all cells), n.
    """
    saliency, cells = drawn.saliency, drawn.saliency.bins.cells  # (B, T)
    layers = saliency.binned.shape[3]
    rows = []
    for k, name in enumerate(saliency.classes):
        estimate, attention = drawn.estimate(k), drawn.attention(k)
        density = estimate / np.maximum(cells, 1)  # (L, B, T)
        density = np.where(cells >= _FEWEST_CELLS, density, 0)
        # Keys of the first token have one cell at each distance: they count together.
        density[:, 0] = estimate[:, 0].mean(axis=-1, keepdims=True)
        for rank in range(1, _REGIONS + 1):
            peak = np.unravel_index(density.argmax(), density.shape)
            if density[peak] <= 0:
                break
            block = int(peak[1])
            (top, bottom), (near, far) = _grow(density[:, block], (int(peak[0]), int(peak[2])))
            box = (slice(top, bottom + 1), block, slice(near, far + 1))
            shares = drawn.shares(k, partial(_box_sum, box=box))[:, 0]
            interval = percentile_interval(shares[0], shares[1:], drawn.confidence)
            in_box = cells[block, near : far + 1].sum() * (bottom + 1 - top)
            row = {
                "class": name,
                "rank": rank,
                "words": _region_words(top, bottom, block, near, far, saliency),
                "layers": _span(top + 1, bottom + 1),
                "block": saliency.parts[block],
                "distances": _span(near, far),
                "share": interval.value,
                "low": interval.low,
                "high": interval.high,
                "attention": attention[box].sum(),
                "cells": in_box / (cells.sum() * layers),
                "n": saliency.n[k],
            }
            rows.append(row)
            density[box] = 0
    return pd.DataFrame(rows)


def _box_sum(sums: np.ndarray, box: tuple[slice, int, slice]) -> np.ndarray:
    """Return sums per bin (C, G, L, B, T) summed over a box of (L, B, T), (C, G, 1)."""
    return sums[:, :, box[0], box[1], box[2]].sum(axis=(2, 3))[..., None]


def _grow(density: np.ndarray, peak: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the box of layers and distances around a peak of (L, T), both ends inclusive."""
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


def _unit(block: int) -> str:
    """Return what distances count where they are not tokens."""
    return f" blocks of {block} tokens" if block > 1 else ""


def _distance_words(near: int, far: int, block: int) -> str:
    if far == 0:
        return "each token at itself" if block == 1 else f"within blocks of {block} tokens"
    distances = f"distance {near}" if near == far else f"distances {near} to {far}"
    return distances + _unit(block)


def _region_words(
    top: int, bottom: int, block: int, near: int, far: int, saliency: Saliency
) -> str:
    layers = f"layer{'s' if bottom > top else ''} {_span(top + 1, bottom + 1)}"
    distances = f", {_distance_words(near, far, saliency.block)}" if block else ""
    words = _BLOCK_WORDS[block] if block else f"key is the {saliency.parts[0]}"
    return f"{layers}, {words}{distances}"


def _table(
    drawn: DrawnShares,
    column: str,
    names: list,
    parts: Callable[[np.ndarray], np.ndarray],
) -> pd.DataFrame:
    """Tabulate the shares of Δ and of attention of every class in named parts of the map.

    Args:
        drawn: draws of CNNs and groups.
        column: what the names are called.
        names: of the N parts.
        parts: sums over the bins of each part, (…, L, B, T) → (…, N).
    """
    rows = []
    for k, name in enumerate(drawn.saliency.classes):
        shares, attention = drawn.shares(k, parts), parts(drawn.attention(k))
        for i, part in enumerate(names):
            interval = percentile_interval(shares[0, i], shares[1:, i], drawn.confidence)
            row = {"class": name, column: part}
            row |= {"share": interval.value, "low": interval.low, "high": interval.high}
            rows.append(row | {"attention": float(attention[i]), "n": drawn.saliency.n[k]})
    return pd.DataFrame(rows)

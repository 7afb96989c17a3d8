"""Regions of attention: cells (query, key) in layers, and random regions to compare them with. All
are bool (L, P), packed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engram.io.packing import query_key, window_length


def top_cells(delta: np.ndarray, share: float) -> np.ndarray:
    """Return the cells of largest Δ, over all layers.

    Args:
        delta: Δ of a class, (L, P).
        share: of the L·P cells; at least one cell is taken, and no cell whose Δ is 0.
    """
    count = max(1, round(share * delta.size))
    order = np.argsort(-delta, axis=None, kind="stable")[:count]
    region = np.zeros(delta.size, bool)
    region[order] = delta.ravel()[order] > 0
    return region.reshape(delta.shape)


def distance_band(low: int, high: int, layers: int, window: int) -> np.ndarray:
    """Return the cells of all layers whose query lies `low` … `high` tokens after the key; 0 is a
    token's attention to itself.
    """
    queries, keys = query_key(window)
    band = (queries - keys >= low) & (queries - keys <= high)
    return np.repeat(band[None], layers, axis=0)


def blocks(window: int, prefix: int) -> np.ndarray:
    """Return which part of the text a cell links, (P,): 0 within the prefix, 1 from the suffix to
    the prefix, 2 within the suffix. What the model reads in front of the prefix belongs to it.
    """
    queries, keys = query_key(window)
    return (queries >= prefix).astype(int) + (keys >= prefix).astype(int)


def random_region(
    region: np.ndarray, prefix: int, generator: np.random.Generator, mass: np.ndarray | None = None
) -> np.ndarray:
    """Return random cells with the layers and the causal structure of a region: matched layer by
    layer and block by block (see `blocks`).

    Cells are drawn from outside the region; only where a block has too few of them, from within it
    too.

    Args:
        region: (L, P).
        prefix: rows of a map before the suffix: tokens of the opening and the prefix.
        generator: the draw.
        mass: mean attention of every cell, (L, P). Without it, each layer and block gets as many
            cells as the region has there. With it, as many as come nearest to the attention that
            the region has there, however many cells that takes.
    """
    block = blocks(window_length(region.shape[1]), prefix)
    drawn = np.zeros_like(region)
    for layer, part in np.ndindex(len(region), 3):
        cells = np.flatnonzero(block == part)
        taken = region[layer, cells]
        if not taken.any():
            continue
        order = np.concatenate(
            [generator.permutation(cells[~taken]), generator.permutation(cells[taken])]
        )
        if mass is None:
            count = int(taken.sum())
        else:
            sums = np.concatenate([[0.0], np.cumsum(mass[layer, order], dtype=np.float64)])
            count = int(np.abs(sums - mass[layer, cells[taken]].sum(dtype=np.float64)).argmin())
        drawn[layer, order[:count]] = True
    return drawn


def check_bands(bands: Sequence[Sequence[int]], window: int) -> list[tuple[int, int]]:
    """Return the distance bands within a window as pairs; drop those that begin beyond it."""
    return [(low, min(high, window - 1)) for low, high in bands if low < window]

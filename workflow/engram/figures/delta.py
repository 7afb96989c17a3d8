"""Δ maps: which attention, in which layer, speaks for each class (paper, Figures 6 and 13-18)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from engram.figures.maps import Mosaic, Parts, check_maps, color_bar
from engram.figures.style import FigureStyle, class_colors, styled, text_width, wrap_class
from engram.io.packing import unpack

_PAGE = 1.45
"""Height over width that many layers are laid out towards, near a printed page's."""


@styled
def delta_maps(
    delta: np.ndarray,
    classes: Sequence[str],
    samples: Sequence[int],
    prefix: int,
    *,
    opening: int = 0,
    block: int = 1,
    style: FigureStyle,
) -> Figure:
    """Draw Δ of every layer (rows) and class (columns), each layer divided by its greatest value
    over all classes.

    The colour scale is that of the square root: Δ is steep, and most of its structure lies below a
    quarter of the maximum. More than 12 layers continue in further blocks of rows at the right.

    Args:
        delta: (K, L, P), packed lower triangles.
        classes: the K class names.
        samples: number of samples behind Δ per class, (K,).
        prefix: tokens of the prefix.
        opening: special tokens in front of it.
        block: tokens of a row of the maps.

    Raises:
        EngramError: the shapes do not fit or there is nothing to draw.
    """
    parts = Parts(prefix, opening, block)
    tokens = check_maps(delta.shape, classes, parts, "delta_maps")
    greatest = delta.max(axis=(0, 2))  # (L,)
    maps = unpack(
        delta / np.where(greatest > 0, greatest, 1)[None, :, None], fill=np.nan
    )  # (K, L, T, T)
    side = max(
        1.2, text_width([wrap_class(name) for name in classes], style.font_size, "bold") / 1.1
    )
    layers = delta.shape[1]
    mosaic = Mosaic(
        layers, len(classes), best_blocks(layers, len(classes)), tokens, side, label=0.85
    )
    figure, axes, drawn = mosaic.draw(
        maps.swapaxes(0, 1), parts, PowerNorm(0.5, 0, 1), style, above=0.6, below=0.75
    )
    mosaic.head(axes, classes, class_colors(classes, style), [f"n = {n:,}" for n in samples], style)
    for layer in range(layers):
        mosaic.number(axes, layer, f"layer {layer + 1}", f"max {greatest[layer]:.2g}", style)
    mosaic.ruler(axes, parts, style)
    color_bar(figure, axes, drawn, mosaic, "Δ / greatest Δ of the layer", (0, 0.05, 0.25, 0.5, 1))
    return figure


def best_blocks(layers: int, classes: int) -> int:
    """Return in how many blocks side by side the layers are set: one up to 12 layers, then whatever
    comes nearest to a page.
    """
    if layers <= 12:
        return 1
    return min(
        range(1, 7),
        key=lambda blocks: abs(np.log(-(-layers // blocks) / (blocks * (classes + 0.8)) / _PAGE)),
    )

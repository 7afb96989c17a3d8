"""Δ of one layer per class, and Δ by layer on one scale (paper, Figure 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from engram.figures.maps import Mosaic, Parts, check_maps, color_bar
from engram.figures.style import (
    FigureStyle,
    class_colors,
    light_grid,
    require,
    styled,
    text_width,
    wrap_class,
)
from engram.io.errors import EngramError
from engram.io.packing import unpack

_CURVE = (0.5, 1.75)
"""Lower edge and height of the curve, in inches."""
_BAR = 2.8
"""Lower edge of the colour bar, in inches."""


@styled
def delta_peaks(
    delta: np.ndarray,
    levels: pd.DataFrame,
    classes: Sequence[str],
    prefix: int,
    layers: Mapping[str, int] | None = None,
    opening: int = 0,
    *,
    block: int = 1,
    style: FigureStyle,
) -> Figure:
    """Draw one map of Δ per class, and below them Δ by layer as a line per class with its interval
    as a band.

    A map is divided by the greatest value of its layer over all classes, as in
    `engram.figures.delta`; a dot on the line marks its layer.

    Args:
        delta: (K, L, P), packed lower triangles.
        levels: class, layer, level, low, high, n; see `engram.saliency.delta_shares.layer_levels`.
        classes: the K class names.
        prefix: tokens of the prefix.
        layers: class → its layer, from 1; a class that is not named shows its highest level.
        opening: special tokens in front of the prefix.
        block: tokens of a row of the maps.

    Raises:
        EngramError: the shapes do not fit, a column or a class is missing, or a layer that the
            model does not have.
    """
    parts = Parts(prefix, opening, block)
    tokens = check_maps(delta.shape, classes, parts, "delta_peaks")
    require(levels, ["class", "layer", "level", "low", "high", "n"], "delta_peaks")
    if missing := [name for name in classes if name not in set(levels["class"])]:
        raise EngramError(f"figure delta_peaks: class {missing[0]} has no rows")
    chosen = [_layer(levels, name, (layers or {}).get(name), delta.shape[1]) for name in classes]
    # A map is the layer's, divided by the layer's greatest value over all classes.
    own = delta[np.arange(len(classes)), np.array(chosen) - 1]  # (K, P)
    greatest = delta[:, np.array(chosen) - 1].max(axis=(0, 2))  # (K,)
    maps = unpack(own / np.where(greatest > 0, greatest, 1)[:, None], fill=np.nan)  # (K, T, T)
    names = [wrap_class(name) for name in classes]
    side = max(1.35, text_width(names, style.font_size, "bold") / 1.1)
    mosaic = Mosaic(1, len(classes), 1, tokens, side, label=0.5)
    figure, axes, drawn = mosaic.draw(
        maps[None], parts, PowerNorm(0.5, 0, 1), style, above=0.6, below=_BAR + 0.5
    )
    colors = class_colors(classes, style)
    sizes = [int(levels.loc[levels["class"] == name, "n"].iloc[0]) for name in classes]
    notes = [f"layer {layer}, n = {n:,}" for layer, n in zip(chosen, sizes, strict=True)]
    mosaic.head(axes, classes, colors, notes, style)
    mosaic.ruler(axes, parts, style)
    ticks = (0, 0.05, 0.25, 0.5, 1)
    color_bar(figure, axes, drawn, mosaic, "Δ / greatest Δ of the layer", ticks, _BAR)
    width, height = figure.get_figwidth(), figure.get_figheight()
    room = 0.5 / width
    curve = figure.add_axes((room, _CURVE[0] / height, 1 - 1.1 * room, _CURVE[1] / height))
    _draw_levels(curve, levels, dict(zip(classes, chosen, strict=True)), colors)
    return figure


def _layer(levels: pd.DataFrame, name: str, wanted: int | None, count: int) -> int:
    """Return the layer to show of a class, from 1."""
    if wanted is None:
        own = levels[levels["class"] == name]
        return int(own["layer"].iloc[int(own["level"].argmax())])
    if not 1 <= wanted <= count:
        raise EngramError(
            f"figure delta_peaks: layer {wanted} is wanted of {name}, the model has {count}; "
            f"change saliency.shown_layers"
        )
    return wanted


def _draw_levels(
    axes: Axes, levels: pd.DataFrame, chosen: Mapping[str, int], colors: Sequence[str]
) -> None:
    light_grid(axes, "y")
    for (name, layer), color in zip(chosen.items(), colors, strict=True):
        own = levels[levels["class"] == name].sort_values("layer")
        axes.fill_between(
            own["layer"], own["low"], own["high"], color=color, alpha=0.16, linewidth=0
        )
        axes.plot(own["layer"], own["level"], color=color)
        peak = own[own["layer"] == layer]
        axes.plot(peak["layer"], peak["level"], "o", markersize=4.5, color=color)
    count = int(levels["layer"].max())
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, steps=[1, 2, 4, 5, 10]))
    axes.set_xlim(1 - 0.02 * count, count * 1.02)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("layer")
    axes.set_ylabel("Δ / greatest Δ")

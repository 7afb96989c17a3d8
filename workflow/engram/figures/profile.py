"""The share of Δ in each layer (paper, Figure 6, lower part)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from engram.figures.style import FigureStyle, class_colors, light_grid, require, styled, text_width
from engram.io.errors import EngramError


@styled
def layer_profile(shares: pd.DataFrame, classes: Sequence[str], *, style: FigureStyle) -> Figure:
    """Draw the share of Δ per layer for every class as a line with its interval as a band; dotted,
    the share of the attention itself.

    Args: shares: class, layer, share, low, high, attention (fractions), n; see
        `engram.saliency.delta_shares.layer_shares`. classes: the K class names, in order.

    Raises:
        EngramError: a column or a class is missing.
    """
    require(shares, ["class", "layer", "share", "low", "high", "attention", "n"], "layer_profile")
    if missing := [name for name in classes if name not in set(shares["class"])]:
        raise EngramError(f"figure layer_profile: class {missing[0]} has no rows")
    layers = shares["layer"].nunique()
    figure = Figure(figsize=(min(7.2, 3.9 + 0.1 * layers), 2.9), layout="constrained")
    axes = figure.subplots()
    light_grid(axes, "y")
    marks = "o" if layers <= 16 else ""
    for name, color in zip(classes, class_colors(classes, style), strict=True):
        mine = shares[shares["class"] == name].sort_values("layer")
        axes.fill_between(
            mine["layer"],
            100 * mine["low"],
            100 * mine["high"],
            color=color,
            alpha=0.16,
            linewidth=0,
        )
        label = f"{name}  (n = {mine['n'].iloc[0]:,})"
        axes.plot(
            mine["layer"],
            100 * mine["share"],
            marker=marks,
            markersize=3.5,
            color=color,
            label=label,
        )
        axes.plot(
            mine["layer"],
            100 * mine["attention"],
            color=color,
            linewidth=0.8,
            linestyle=(0, (1, 2)),
        )
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, steps=[1, 2, 4, 5, 10]))
    axes.set_xlim(1 - 0.02 * layers, layers * 1.02)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("layer")
    axes.set_ylabel("share of Δ (%)")
    handles, labels = axes.get_legend_handles_labels()
    # A line's sample takes about half an inch next to its text.
    room = figure.get_figwidth() // (0.55 + text_width(labels, style.font_size - 1))
    figure.legend(handles, labels, loc="outside upper left", ncols=max(1, int(room)))
    return figure

"""Knock-outs: what the language model loses without a layer, a head, a region of Δ, or several
units one after another.

All take the table `knockout/<taxonomy>.csv` (`engram.knockout.effects.effect_table`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from engram.figures.style import (
    SOFT,
    FigureStyle,
    class_colors,
    light_grid,
    require,
    styled,
    wrap_class,
)

_MEASURES = {
    "extracted": (100.0, "loss of extraction (points)"),
    "suffix_log_prob": (1.0, "fall of log-probability (nats)"),
}
_OPERATIONS = {"remove": "removed", "mean": "mean instead"}
_CONTROLS = {
    "control_cells": ("s", "random, equal cells"),
    "control_mass": ("^", "random, equal attention"),
}
_UNITS = {"layer": "layers", "head": "heads", "band": "distance bands"}
_COLUMNS = (
    "kind",
    "region",
    "size",
    "draw",
    "operation",
    "class",
    "n",
    "extracted",
    "extracted_difference",
    "suffix_log_prob_difference",
)


@styled
def knockout_layers(effects: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw the loss of every class when one layer's attention is taken away, by operation (columns)
    and measure (rows).
    """
    require(effects, _COLUMNS, "knockout_layers")
    alone = effects[effects["kind"] == "layer"]
    classes, operations = _classes(effects), _operations(effects)
    figure = Figure(figsize=(1.2 + 2.7 * len(operations), 4.4), layout="constrained")
    grid = figure.subplots(2, len(operations), sharex=True, sharey="row", squeeze=False)
    for (row, column), axes in np.ndenumerate(grid):
        measure, operation = list(_MEASURES)[row], operations[column]
        scale, label = _MEASURES[measure]
        light_grid(axes, "y")
        axes.axhline(0, color=SOFT, linewidth=0.7)
        for k, (name, color) in enumerate(zip(classes, class_colors(classes, style), strict=True)):
            mine = alone[(alone["operation"] == operation) & (alone["class"] == name)]
            layers = mine["region"].astype(int).to_numpy()
            loss = -scale * mine[f"{measure}_difference"].to_numpy()
            # An interval of the difference, turned round, is one of the loss.
            bars = [
                loss + scale * mine[f"{measure}_high"].to_numpy(),
                -scale * mine[f"{measure}_low"].to_numpy() - loss,
            ]
            shift = 0.08 * (k - (len(classes) - 1) / 2)
            axes.errorbar(
                layers + shift,
                loss,
                np.maximum(bars, 0),
                color=color,
                marker="o",
                markersize=3.5,
                elinewidth=0.9,
                label=_with_n(effects, name),
            )
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
        if row == 0:
            axes.set_title(_OPERATIONS[operation], fontweight="bold")
        else:
            axes.set_xlabel("layer")
        if column == 0:
            axes.set_ylabel(label)
    _class_legend(figure, grid[0, 0])
    return figure


@styled
def knockout_heads(effects: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw the fall of the suffix's log-probability when one head is taken away: a map (layer,
    head) per class and operation.
    """
    require(effects, _COLUMNS, "knockout_heads")
    alone = effects[effects["kind"] == "head"]
    classes, operations = _classes(effects), _operations(effects)
    places = np.array([[int(part) for part in region.split(".")] for region in alone["region"]])
    layers, heads = places.max(axis=0)
    falls = -alone["suffix_log_prob_difference"].to_numpy()
    side = 0.24 if max(layers, heads) <= 12 else 0.12
    size = (
        1.6 + len(classes) * (heads * side + 0.45),
        0.9 + len(operations) * (layers * side + 0.5),
    )
    figure = Figure(figsize=(max(4.2, size[0]), max(2.2, size[1])), layout="constrained")
    grid = figure.subplots(len(operations), len(classes), sharex=True, sharey=True, squeeze=False)
    limit = max(float(falls.max()), 1e-6)
    for (row, column), axes in np.ndenumerate(grid):
        mine = (
            (alone["operation"] == operations[row]) & (alone["class"] == classes[column])
        ).to_numpy()
        image = np.full((layers, heads), np.nan)
        image[places[mine, 0] - 1, places[mine, 1] - 1] = falls[mine]
        drawn = axes.imshow(
            image,
            cmap=style.cmap,
            vmin=0,
            vmax=limit,
            extent=(0.5, heads + 0.5, layers + 0.5, 0.5),
            aspect="equal",
        )
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(8, integer=True))
        if row == 0:
            axes.set_title(_with_n(effects, classes[column], "\n"), fontweight="bold")
        if column == 0:
            axes.set_ylabel(f"{_OPERATIONS[operations[row]]}\nlayer")
        if row == len(operations) - 1:
            axes.set_xlabel("head")
    bar = figure.colorbar(drawn, ax=grid, shrink=0.8, aspect=18)
    bar.set_label("fall of log-probability (nats)")
    return figure


@styled
def knockout_regions(effects: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw the loss of extraction of every class when one class's region is removed, and of random
    regions: a panel per region and operation.
    """
    require(effects, _COLUMNS, "knockout_regions")
    classes, operations = _classes(effects), _operations(effects)
    sizes = sorted(effects.loc[effects["kind"] == "delta", "size"].unique())
    figure = Figure(
        figsize=(1.2 + 2.2 * len(classes), 0.9 + 2.1 * len(operations)), layout="constrained"
    )
    grid = figure.subplots(len(operations), len(classes), sharex=True, sharey=True, squeeze=False)
    for (row, column), axes in np.ndenumerate(grid):
        light_grid(axes, "y")
        axes.axhline(0, color=SOFT, linewidth=0.7)
        mine = effects[
            (effects["operation"] == operations[row]) & (effects["region"] == classes[column])
        ]
        for k, (name, color) in enumerate(zip(classes, class_colors(classes, style), strict=True)):
            for s, size in enumerate(sizes):
                at = mine[(mine["class"] == name) & np.isclose(mine["size"], size)]
                middle = s + 0.8 * (k - (len(classes) - 1) / 2) / len(classes)
                for shift, (kind, (mark, _)) in zip((-0.06, 0.06), _CONTROLS.items(), strict=True):
                    loss = -100 * at.loc[at["kind"] == kind, "extracted_difference"].to_numpy()
                    if len(loss):
                        low, high = np.quantile(loss, [0.025, 0.975])
                        axes.plot(
                            [middle + shift] * 2, [low, high], color=color, alpha=0.3, linewidth=2
                        )
                        axes.plot(
                            middle + shift,
                            loss.mean(),
                            mark,
                            color=color,
                            markersize=4,
                            markerfacecolor="white",
                            markeredgewidth=0.9,
                        )
                for _, found in at[at["kind"] == "delta"].iterrows():
                    axes.plot(
                        [middle] * 2,
                        [-100 * found["extracted_low"], -100 * found["extracted_high"]],
                        color=color,
                        linewidth=0.9,
                    )
                    axes.plot(
                        middle, -100 * found["extracted_difference"], "o", color=color, markersize=5
                    )
        axes.set_xticks(range(len(sizes)), [f"{100 * size:g} %" for size in sizes])
        if row == 0:
            axes.set_title(f"region of\n{wrap_class(classes[column])}", fontweight="bold")
        if column == 0:
            axes.set_ylabel(f"{_OPERATIONS[operations[row]]}\nloss of extraction (points)")
        if row == len(operations) - 1:
            axes.set_xlabel("cells in the region")
    handles = [
        Line2D([], [], color=c, marker="o", label=_with_n(effects, n))
        for n, c in zip(classes, class_colors(classes, style), strict=True)
    ]
    handles += [
        Line2D([], [], color=SOFT, marker=mark, markerfacecolor="white", linestyle="", label=label)
        for mark, label in _CONTROLS.values()
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=min(3, len(handles)))
    return figure


@styled
def knockout_curves(effects: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw the extraction of every class as units are taken away in the order of one class's
    ranking: a row per ranking, a column per unit.
    """
    require(effects, _COLUMNS, "knockout_curves")
    classes, operations = _classes(effects), _operations(effects)
    intact = effects[effects["kind"] == "intact"].set_index("class")["extracted"]
    figure = Figure(
        figsize=(1.2 + 2.1 * len(_UNITS), 0.9 + 1.7 * len(classes)), layout="constrained"
    )
    grid = figure.subplots(len(classes), len(_UNITS), sharex="col", sharey=True, squeeze=False)
    for (row, column), axes in np.ndenumerate(grid):
        unit = list(_UNITS)[column]
        light_grid(axes, "y")
        curve = effects[
            (effects["kind"] == f"cumulative_{unit}") & (effects["region"] == classes[row])
        ]
        for name, color in zip(classes, class_colors(classes, style), strict=True):
            for operation in operations:
                mine = curve[
                    (curve["class"] == name) & (curve["operation"] == operation)
                ].sort_values("size")
                counts, kept = [0, *mine["size"]], [intact[name], *mine["extracted"]]
                dashes = "-" if operation == "remove" else "--"
                axes.plot(
                    counts,
                    100 * np.array(kept),
                    dashes,
                    color=color,
                    marker="o",
                    markersize=2.5,
                    label=_with_n(effects, name),
                )
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_ylim(-4, 104)
        if row == 0:
            axes.set_title(_UNITS[unit], fontweight="bold")
        if row == len(classes) - 1:
            axes.set_xlabel(f"{_UNITS[unit]} taken away")
        if column == 0:
            axes.set_ylabel(f"ranked for\n{classes[row]}\nextracted (%)")
    _class_legend(figure, grid[0, 0])
    return figure


PLOTS = {
    "layers": knockout_layers,
    "heads": knockout_heads,
    "regions": knockout_regions,
    "curves": knockout_curves,
}


def _classes(effects: pd.DataFrame) -> list[str]:
    return [str(name) for name in effects["class"].unique()]


def _operations(effects: pd.DataFrame) -> list[str]:
    found = set(effects["operation"])
    return [operation for operation in _OPERATIONS if operation in found]


def _with_n(effects: pd.DataFrame, name: str, space: str = " ") -> str:
    """Return a class's name with its number of test samples."""
    return f"{name}{space}(n = {effects.loc[effects['class'] == name, 'n'].iloc[0]:,})"


def _class_legend(figure: Figure, axes: Axes) -> None:
    """One entry per class above the panels."""
    entries = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(
        entries.values(), entries.keys(), loc="outside upper left", ncols=min(3, len(entries))
    )

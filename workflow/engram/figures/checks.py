"""Is the saliency real? Randomised CNNs, agreement, deletion and insertion, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engram.figures.style import INK, SOFT, FigureStyle, light_grid, require, styled

_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
"""Of methods, in the order of the config."""
_RHO = ["method", "map", "against", "class", "layer", "rho", "low", "high"]
_CONTROLS = {
    "random": ("random cells", SOFT, "--"),
    "attention": ("cells of the greatest attention", INK, ":"),
    "shuffled labels": ("Δ of CNNs of shuffled labels", SOFT, "-."),
}


@styled
def saliency_checks(
    randomization: pd.DataFrame,
    agreement: pd.DataFrame,
    deletion: pd.DataFrame,
    methods: Sequence[str],
    *,
    style: FigureStyle,
) -> Figure:
    """Rank correlations of the evidence (means over classes and layers) with randomised CNNs and
    between CNNs, and probability of the true class when cells are removed or kept alone.

    Args:
        randomization, agreement, deletion: as `engram.saliency.sanity_checks.check_saliency`
        returns them. methods: in the order of the config.

    Raises:
        EngramError: a table without its columns or rows.
    """
    require(randomization, _RHO, "saliency_checks")
    require(
        deletion,
        ["cells", "mode", "share", "class", "probability", "low", "high"],
        "saliency_checks",
    )
    figure = Figure(figsize=(7.2, 5.6), layout="constrained")
    (left, right), (removed, kept) = figure.subplots(2, 2)
    colors = dict(zip(methods, _COLORS, strict=False))
    against = [name for name in dict.fromkeys(randomization["against"]) if name != "attention"]
    _correlations(left, randomization, [*against, "attention"], colors, "trained CNN against …")
    names = [name for name in dict.fromkeys(agreement["against"]) if name not in methods]
    _correlations(right, agreement, names, colors, "two CNNs that differ in …")
    for axes, mode, title in (
        (removed, "deletion", "cells removed"),
        (kept, "insertion", "cells kept alone"),
    ):
        light_grid(axes, "y")
        mine = deletion[(deletion["mode"] == mode) & (deletion["class"] == "all")]
        looks = {
            name: (name.replace("_", " "), color, "-") for name, color in colors.items()
        } | _CONTROLS
        for name, (label, color, line) in looks.items():
            rows = mine[mine["cells"] == name].sort_values("share")
            if len(rows):
                axes.fill_between(
                    100 * rows["share"],
                    rows["low"],
                    rows["high"],
                    color=color,
                    alpha=0.1,
                    linewidth=0,
                )
                axes.plot(
                    100 * rows["share"],
                    rows["probability"],
                    color=color,
                    linestyle=line,
                    label=label,
                )
        axes.set_xscale("log")
        ticks = sorted(100 * mine["share"].unique())
        axes.set_xticks(
            [tick for tick in ticks if tick > 0], labels=[f"{tick:g}" for tick in ticks if tick > 0]
        )
        axes.minorticks_off()
        axes.set_ylim(0, 1)
        axes.set_title(title, fontweight="bold")
        axes.set_xlabel("share of all cells (%)")
    intact = deletion[(deletion["cells"] == "none") & (deletion["class"] == "all")]["probability"]
    for value in intact:
        removed.axhline(value, color=INK, linewidth=0.6)
    removed.set_ylabel("probability of the true class")
    handles, labels = removed.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _correlations(
    axes: Axes, table: pd.DataFrame, names: Sequence[str], colors: dict[str, str], title: str
) -> None:
    """One row of points per comparison, methods beneath each other."""
    mine = table[
        (table["map"] == "evidence") & (table["class"] == "all") & (table["layer"] == "all")
    ]
    light_grid(axes, "x")
    for row, name in enumerate(names):
        for place, (method, color) in enumerate(colors.items()):
            for _, found in mine[(mine["against"] == name) & (mine["method"] == method)].iterrows():
                y = row + (place - (len(colors) - 1) / 2) * 0.17
                axes.plot([found["low"], found["high"]], [y, y], color=color, linewidth=1.1)
                axes.plot([found["rho"]], [y], marker="o", markersize=3.2, color=color)
    if not names:
        axes.annotate(
            "one CNN: nothing to compare",
            (0.5, 0.5),
            xycoords="axes fraction",
            ha="center",
            color=SOFT,
        )
    axes.axvline(0, color=SOFT, linewidth=0.7)
    axes.set_yticks(range(len(names)), labels=[_wrap(name) for name in names])
    axes.set_ylim(max(len(names), 1) - 0.5, -0.5)
    axes.set_xlim(min(-0.05, mine["low"].min()) if len(mine) else -0.05, 1)
    axes.set_title(title, fontweight="bold")
    axes.set_xlabel("rank correlation of the evidence")


def _wrap(name: str) -> str:
    """Return layers re-initialized in full, the untrained case on a second line."""
    if name.startswith("fc2"):
        return f"{name.replace('fc2 to ', 'fc2 … ')} re-initialized"
    return name.replace(" (untrained)", "\n(one untrained)")

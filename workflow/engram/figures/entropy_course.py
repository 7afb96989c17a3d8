"""Figure of the entropy of representations in the course of a drilling."""

from __future__ import annotations

import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from engram.figures.style import FigureStyle, light_grid, require, styled


@styled
def entropy_course(table: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw the mean entropy of windows against the step of the drilling: a line with its interval
    per depth, a panel for windows that the model is shown and one for those that it is not.

    Args:
        table: of one model, see `engram.mechanisms.entropy_steps.entropy_by_step`.

    Raises:
        EngramError: a column is missing.
    """
    columns = ["windows", "step", "depth", "entropy", "entropy_low", "entropy_high"]
    require(table, columns, "entropy_course")
    kinds = list(dict.fromkeys(table["windows"]))
    depths = sorted(table["depth"].unique())
    colors = colormaps["viridis"]
    figure = Figure(figsize=(1.2 + 2.9 * len(kinds), 2.8), layout="constrained")
    panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for axes, kind in zip(panels, kinds, strict=True):
        light_grid(axes, "y")
        for number, depth in enumerate(depths):
            own = table[(table["windows"] == kind) & (table["depth"] == depth)].sort_values("step")
            color = colors(0.9 * number / max(1, len(depths) - 1))
            axes.fill_between(
                own["step"], own["entropy_low"], own["entropy_high"], color=color, alpha=0.15, lw=0
            )
            axes.plot(own["step"], own["entropy"], color=color, linewidth=1, label=f"{depth}")
        axes.set_title(kind)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panels[0].set_ylabel("entropy (nats)")
    figure.supxlabel("step of the drilling", fontsize=style.font_size)
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside right upper", title="depth")
    return figure

"""What an attack on the prefix's embeddings brings back, step by step."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from engram.figures.style import INK, SOFT, FigureStyle, light_grid, require, styled

COLORS = {"recalled": INK, "never seen": SOFT}
"""Colour of each kind of texts."""
COLUMNS = ("texts", "model", "n", "step", "recovered", "recovered_low", "recovered_high")


@styled
def embedding_attack(curves: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw the share of texts that came back over the steps of the attack: a panel per model.

    Args: curves: `engram.mechanisms.locality.Locality.curves`.

    Raises:
        EngramError: a column is missing, or the table is empty.
    """
    require(curves, COLUMNS, "embedding_attack")
    models = [str(name) for name in curves["model"].unique()]
    figure = Figure(figsize=(0.8 + 2.7 * len(models), 2.8), layout="constrained")
    grid = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
    for axes, model in zip(grid, models, strict=True):
        light_grid(axes, "y")
        for kind, color in COLORS.items():
            rows = curves[(curves["model"] == model) & (curves["texts"] == kind)]
            rows = rows.sort_values("step")
            axes.fill_between(
                rows["step"],
                100 * rows["recovered_low"],
                100 * rows["recovered_high"],
                color=color,
                alpha=0.16,
                linewidth=0,
            )
            label = f"{kind} (n = {rows['n'].iloc[0]:,})"
            axes.plot(rows["step"], 100 * rows["recovered"], color=color, label=label)
        axes.set_title(model, fontweight="bold")
        axes.set_ylim(-4, 104)
        axes.set_xlabel("steps")
    grid[0].set_ylabel("came back (%)")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2)
    return figure

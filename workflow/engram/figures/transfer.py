"""The figure of transfer: classifiers where they were trained, and where they were not."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engram.figures.style import INK, SOFT, FigureStyle, light_grid, require, styled
from engram.scores.confusions import RUNS

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Of the places where classifiers come from; of more, the colours repeat."""
_ENDS = ("value", "value_low", "value_high", "null_95", "own")


@styled
def transfer(table: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw the balanced accuracy of every input by where its classifiers come from, a panel per
    tested kind or model.

    Args:
        table: `transfer.csv`.

    Raises:
        EngramError: a column is missing, or there are no rows.
    """
    columns = ["model", "taxonomy", "transfer", "trained_on", "tested_on", "input", "labels"]
    require(table, [*columns, "score", "n", *_ENDS], "transfer")
    shown = table[table["score"] == "balanced_accuracy"]
    titles = {title: run for run, title in RUNS.items()}
    present = set(zip(shown["input"], shown["labels"], strict=True))
    inputs = {run: title for title, run in titles.items() if run in present}
    groups = list(shown.groupby(["model", "taxonomy", "transfer", "tested_on"], sort=False))
    if not groups:  # every pair of models was refused
        return Figure(figsize=(6.9, 0.5))
    figure = Figure(
        figsize=(6.9, (0.3 * len(inputs) + 0.8) * len(groups) + 0.5), layout="constrained"
    )
    panels = figure.subplots(len(groups), 1, squeeze=False, sharex=True)[:, 0]
    for (key, part), axes in zip(groups, panels, strict=True):
        model, _, name, tested = key
        sizes = part.groupby("trained_on", sort=False)["n"].first()
        number = " / ".join(f"{int(size):,}" for size in dict.fromkeys(sizes))
        where = f"tested on {tested} · {model}" if name != "models" else f"tested on {model}"
        axes.set_title(f"{where} · n = {number}", loc="left", fontweight="bold")
        _draw(axes, part, list(inputs))
        axes.set_yticks(range(len(inputs)), list(inputs.values()))
        axes.set_ylim(len(inputs) - 0.5, -0.5)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=style.small)
    panels[-1].set_xlabel("balanced accuracy (%)")
    return figure


def _draw(axes: Axes, part: pd.DataFrame, inputs: list[tuple[str, str]]) -> None:
    """Draw a dot with its interval per input and origin of the classifiers: filled where they were
    not trained, hollow where they were; a tick at the 95 % quantile under permuted classes.
    """
    light_grid(axes, "x")
    origins = list(dict.fromkeys(part["trained_on"]))
    shifts = np.linspace(-0.24, 0.24, len(origins)) if len(origins) > 1 else [0.0]
    # Where a model is tested, no row of its own says what it reaches; the column `own` does.
    if native := [] if (part["trained_on"] == part["tested_on"]).any() else ["trained here"]:
        axes.plot([], [], "D", color=SOFT, markerfacecolor="none", markersize=3, label=native[0])
    for origin, shift, color in zip(origins, shifts, np.resize(COLORS, len(origins)), strict=True):
        own = part[part["trained_on"] == origin].set_index(["input", "labels"])
        home = bool((own["trained_on"] == own["tested_on"]).any())
        face = "white" if home else color
        axes.plot(
            [], [], "o", color=color, markerfacecolor=face, markersize=3.8, label=f"from {origin}"
        )
        for row, run in enumerate(inputs):
            if run not in own.index or np.isnan(own.loc[run, "value"]):
                continue
            numbers = 100 * own.loc[run, list(_ENDS)].astype(float)
            place = row + shift
            axes.hlines(place, numbers["value_low"], numbers["value_high"], color=color, lw=1)
            axes.plot(numbers["value"], place, "o", color=color, markerfacecolor=face, ms=3.8)
            axes.plot(numbers["null_95"], place, "|", color=INK, markersize=5)
            if native and np.isfinite(numbers["own"]):
                axes.plot(numbers["own"], place, "D", color=SOFT, markerfacecolor="none", ms=3)

"""The figure of the matched comparison: two classes, on all samples and on matched ones."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engram.figures.style import ACCENT, FAINT, INK, SOFT, FigureStyle, light_grid, require, styled
from engram.scores.settings import ALL, NONE

VERDICT_COLORS = {"equivalent": "#009e73", "different": ACCENT, "inconclusive": SOFT}
_ENDS = ("value", "value_low", "value_high", "difference", "narrow_low", "narrow_high")


@styled
def matched_comparison(table: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw balanced accuracy on all and on matched test samples, and the difference to the rival on
    matched ones with the bound of equivalence; an input per row.

    Args:
        table: `matched_comparison.csv`.

    Raises:
        EngramError: a column is missing, or there are no rows.
    """
    columns = ["model", "taxonomy", "first", "second", "matching", "input", "score", "n", "rival"]
    require(table, [*columns, *_ENDS, "bound", "verdict"], "matched_comparison")
    shown = table[(table["score"] == "balanced_accuracy") & table["matching"].isin([NONE, ALL])]
    groups = list(shown.groupby(["model", "taxonomy", "first", "second"], sort=False))
    inputs = list(dict.fromkeys(shown["input"]))
    height = (0.24 * len(inputs) + 0.75) * len(groups) + 0.5
    figure = Figure(figsize=(6.9, height), layout="constrained")
    panels = figure.subplots(len(groups), 2, squeeze=False, sharey=True, sharex="col")
    for (key, part), (left, right) in zip(groups, panels, strict=True):
        parts = {name: part[part["matching"] == name].set_index("input") for name in (NONE, ALL)}
        sizes = [int(own["n"].iloc[0]) for own in parts.values()]
        left.set_title(
            f"{key[2]} or {key[3]} · {key[0]} · n = {sizes[0]:,}, matched {sizes[1]:,}",
            loc="left",
            fontweight="bold",
        )
        _accuracies(left, parts, inputs)
        _differences(right, parts[ALL], inputs)
        left.set_yticks(range(len(inputs)), [name.replace("_", " ") for name in inputs])
        left.set_ylim(len(inputs) - 0.5, -0.5)
    panels[-1, 0].set_xlabel("balanced accuracy (%)")
    rival = str(shown["rival"].iloc[0]).replace("_", " ")
    panels[-1, 1].set_xlabel(f"minus {rival}, matched (points)")
    handles = [
        panels[0, 0].plot([], [], "o", color=INK, markerfacecolor="white", label="all")[0],
        panels[0, 0].plot([], [], "o", color=INK, label="matched")[0],
    ]
    handles += [
        panels[0, 1].plot([], [], "o", color=color, label=verdict)[0]
        for verdict, color in VERDICT_COLORS.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _accuracies(axes: Axes, parts: dict[str, pd.DataFrame], inputs: list[str]) -> None:
    """Draw the balanced accuracy of every input, hollow on all samples, filled on matched ones."""
    light_grid(axes, "x")
    axes.axvline(50, color=INK, linewidth=0.8)
    for matching, shift, face in ((NONE, -0.14, "white"), (ALL, 0.14, INK)):
        for row, name in enumerate(inputs):
            if name not in parts[matching].index:
                continue
            own = 100 * parts[matching].loc[name, list(_ENDS)].astype(float)
            axes.hlines(row + shift, own["value_low"], own["value_high"], color=INK, linewidth=1)
            axes.plot(
                own["value"], row + shift, "o", color=INK, markerfacecolor=face, markersize=3.8
            )


def _differences(axes: Axes, part: pd.DataFrame, inputs: list[str]) -> None:
    """Draw the difference of every input to the rival, coloured by its verdict."""
    light_grid(axes, "x")
    bound = 100 * float(part["bound"].iloc[0])
    axes.axvspan(-bound, bound, color=FAINT, alpha=0.5, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.8)
    for row, name in enumerate(inputs):
        if name not in part.index or part["difference"].isna()[name]:
            continue
        own = 100 * part.loc[name, list(_ENDS)].astype(float)
        color = VERDICT_COLORS[str(part.loc[name, "verdict"])]
        axes.hlines(row, own["narrow_low"], own["narrow_high"], color=color, linewidth=1.2)
        axes.plot(own["difference"], row, "o", color=color, markersize=3.8)

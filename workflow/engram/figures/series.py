"""Series of models: rates against size, family by family, and memorization scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from engram.figures.style import SOFT, FigureStyle, light_grid, require, styled, title_with_note
from engram.series.measures import ALL_FAMILIES

FAMILY_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#332288", "#56b4e9")
"""In the order of the families; they repeat with another marker."""
MARKERS = ("o", "s", "^", "D", "v")


@styled
def rates_against_size(rates: pd.DataFrame, fits: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw the rate of every model with its interval over the number of parameters, or over the
    training step where there is one, and the line of every family; a panel per measure, a row of
    panels per taxonomy.

    Args:
        rates: `series_rates.csv`; `taxonomy` is an empty text where there is none.
        fits: `series_fits.csv`, likewise; the row of all families gives the test of equal slopes.

    Raises:
        EngramError: a column is missing, or there are no rows.
    """
    named, axis = ["taxonomy", "measure", "family"], _axis(rates)
    require(
        rates,
        [*named, "model", axis, "n", "rate", "rate_low", "rate_high"],
        "rates_against_size",
    )
    require(fits, [*named, "intercept", "slope", "p_texts"], "rates_against_size")
    taxonomies = {
        str(taxonomy): list(own.groupby("measure", sort=False))
        for taxonomy, own in rates.groupby("taxonomy", sort=False)
    }
    families = list(dict.fromkeys(rates["family"]))
    columns = max(map(len, taxonomies.values()))
    size = (0.6 + 1.8 * columns, 0.5 + 2.1 * len(taxonomies))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(taxonomies), columns, squeeze=False, sharex=True)
    for line, (taxonomy, measures) in zip(panels, taxonomies.items(), strict=True):
        line[0].set_ylabel("\n".join([*filter(None, taxonomy.split("_")), "windows (%)"]))
        for axes, (measure, own) in zip(line, measures, strict=False):
            same = (fits["taxonomy"] == taxonomy) & (fits["measure"] == measure)
            _draw_rates(axes, own, fits[same], families, axis)
            p_values = fits.loc[same & (fits["family"] == ALL_FAMILIES), "p_texts"]
            note = f"equal slopes: p = {p_values.iloc[0]:.2g}" if len(p_values) else ""
            title_with_note(axes, str(measure).replace("_", " "), note, style)
        for axes in line[len(measures) :]:
            axes.set_visible(False)
    across = "training step" if axis == "step" else axis
    figure.supxlabel(f"{across} (log₁₀ scale)", fontsize=style.font_size)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=min(5, len(labels)))
    return figure


def _draw_rates(
    axes: Axes, rates: pd.DataFrame, fits: pd.DataFrame, families: Sequence[str], axis: str
) -> None:
    light_grid(axes, "y")
    lines = fits.set_index("family")
    for number, family in enumerate(families):
        color, marker = _look(number)
        own = rates[rates["family"] == family].sort_values(axis)
        size = own[axis].to_numpy(float)
        low, value, high = (
            100 * own[name].to_numpy(float) for name in ("rate_low", "rate", "rate_high")
        )
        axes.vlines(size, low, high, color=color, linewidth=0.9)
        axes.plot(size, value, marker, color=color, markersize=4, label=family)
        ends = size[[0, -1]]
        line = float(lines["intercept"][family]) + float(lines["slope"][family]) * np.log10(ends)
        axes.plot(ends, 100 * line, color=color, linewidth=0.9)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.set_ylim(bottom=0)


@styled
def score_distributions(scores: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw how often each memorization score is reached, a panel per family; the larger a model, or
    the later a checkpoint, the darker its line.

    Args:
        scores: `series_scores.csv`.

    Raises:
        EngramError: a column is missing, or there are no rows.
    """
    axis = _axis(scores)
    of = "step " if axis == "step" else ""
    require(
        scores,
        ["family", "model", axis, "score", "windows", "share"],
        "score_distributions",
    )
    families = list(dict.fromkeys(scores["family"]))
    figure = Figure(figsize=(0.8 + 2.1 * len(families), 2.9), layout="constrained")
    panels = figure.subplots(1, len(families), squeeze=False, sharey=True)[0]
    for number, (axes, family) in enumerate(zip(panels, families, strict=True)):
        light_grid(axes, "y")
        own = scores[scores["family"] == family]
        models = own.groupby("model")[axis].first().sort_values()
        for rank, (name, size) in enumerate(models.items(), start=1):
            part = own[own["model"] == name].sort_values("score")
            share = 100 * part["share"].where(part["share"] > 0)
            axes.plot(
                part["score"],
                share,
                color=_mixed(_look(number)[0], rank / len(models)),
                linewidth=1,
                marker="o",
                markersize=2,
                label=f"{of}{short_number(size)} (n = {int(part['windows'].sum()):,})",
            )
        axes.set_title(family, fontweight="bold")
        axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.legend(loc="upper center", fontsize=style.small, labelcolor=SOFT)
    panels[0].set_ylabel("windows (%)")
    figure.supxlabel("memorization score", fontsize=style.font_size)
    return figure


def _axis(table: pd.DataFrame) -> str:
    """Return the column that models are ordered by."""
    return "step" if "step" in table else "parameters"


def short_number(value: float) -> str:
    """Return a number of parameters or steps as it is spoken of: 70k, 2.8M, 12B."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _look(number: int) -> tuple[str, str]:
    """Return colour and marker of a family by its position."""
    return (
        FAMILY_COLORS[number % len(FAMILY_COLORS)],
        MARKERS[(number + number // len(FAMILY_COLORS)) % len(MARKERS)],
    )


def _mixed(color: str, share: float) -> tuple[float, float, float]:
    """Return a colour mixed with white, of which it leaves a share of at least a third."""
    kept = 0.33 + 0.67 * share
    red, green, blue = (kept * part + 1 - kept for part in to_rgb(color))
    return red, green, blue

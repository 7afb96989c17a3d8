"""Figure of crossed exposures: what differs inside the exposed and the unexposed model."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engram.crossed.tables import ALL_PAIRS
from engram.figures.style import ACCENT, INK, SOFT, FigureStyle, light_grid, require, styled

COLORS = (INK, ACCENT, SOFT)
"""Of the values in a panel, which also have their own markers."""
MARKERS = ("o", "s", "^", "D", "v")
TITLES = {
    "entropy": "entropy of representations",
    "lens": "logit lens",
    "noise": "noise",
    "remind": "REMIND and its rivals",
}
"""Panels, in their order; those of values per depth come first."""


@styled
def inside_differences(mechanisms: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw what measures inside both models of a pair differ by, exposed − unexposed, in standard
    deviations over windows: values per depth against the depth, others one below the other; on
    natural text where there is any, and over all pairs where there are several.

    Args:
        mechanisms: see `engram.crossed.mean_differences.mean_differences`.

    Raises:
        EngramError: a column is missing.
    """
    ends = ["difference", "difference_low", "difference_high", "standardized"]
    columns = ["pair", "measure", "value", "alpha", "depth", "stratum"]
    require(mechanisms, [*columns, *ends], "crossed_mechanisms")
    shown = _shown(mechanisms)
    panel = shown["measure"].replace({"rival": "remind"})
    names = [name for name in TITLES if name in set(panel)]
    scalars = int(shown["depth"].isna().sum())
    figure = Figure(figsize=(1.2 + 2.6 * len(names), 2.6 + 0.06 * scalars), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        rows = shown[panel == name]
        axes.set_title(TITLES[name])
        if rows["depth"].notna().any():
            _against_depth(axes, rows[rows["depth"].notna()])
        else:
            _below_another(axes, rows)
    return figure


def _shown(mechanisms: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all pairs, or of the only one, on natural text or on all, with the ends of
    `standardized` as low and high.
    """
    pairs, strata = set(mechanisms["pair"]), set(mechanisms["stratum"])
    pair = ALL_PAIRS if ALL_PAIRS in pairs else mechanisms["pair"].iloc[0]
    stratum = "natural" if "natural" in strata else "all"
    rows = mechanisms[(mechanisms["pair"] == pair) & (mechanisms["stratum"] == stratum)]
    difference = rows["difference"].to_numpy()
    scale = np.divide(
        rows["standardized"].to_numpy(),
        difference,
        out=np.full(len(rows), np.nan),
        where=difference != 0,
    )
    return rows.assign(low=rows["difference_low"] * scale, high=rows["difference_high"] * scale)


def _against_depth(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw values per depth, a line each, under the strongest noise where there is some."""
    if rows["alpha"].notna().any():
        rows = rows[rows["alpha"] == rows["alpha"].max()]
    light_grid(axes, "y")
    axes.axhline(0, color=SOFT, linewidth=0.8, linestyle=(0, (1, 2)))
    for number, (name, own) in enumerate(rows.groupby("value", sort=False)):
        color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
        x = own["depth"].to_numpy() + 0.06 * number
        axes.vlines(x, own["low"], own["high"], color=color, linewidth=1)
        axes.plot(x, own["standardized"], marker, color=color, markersize=3.5, label=str(name))
    axes.set_xlabel("depth")
    axes.set_ylabel("exposed − unexposed (SD)")
    axes.legend()


def _below_another(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw values without a depth, a row each."""
    light_grid(axes, "x")
    axes.axvline(0, color=SOFT, linewidth=0.8, linestyle=(0, (1, 2)))
    y = np.arange(len(rows))
    axes.hlines(y, rows["low"], rows["high"], color=INK, linewidth=1)
    axes.plot(rows["standardized"], y, "o", color=INK, markersize=3.5)
    axes.set_yticks(y, rows["value"].str.replace("_", " "))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("exposed − unexposed (SD)")

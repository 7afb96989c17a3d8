"""The figure of paired cloze: how often terms and identifiers are completed, bin by bin."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from engram.figures.style import ACCENT, INK, FigureStyle, light_grid, require, styled

COLORS = {"model": ACCENT, "twin": INK}
NAMES = {"forward": "term → identifier", "backward": "identifier → term"}
LINES = {"all": "-", "shown": "-", "held-out": "--"}
_COLUMNS = ("model", "weights", "direction", "pairs", "by", "low", "high", "n")
_VALUES = ("accuracy", "accuracy_low", "accuracy_high")


@styled
def pair_accuracy(table: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw the accuracy of paired cloze with its intervals by bin of popularity and of lexical
    overlap, a row per model and direction; pairs that are held out apart, where there are any.

    Args:
        table: `audit_pairs.csv`.

    Raises:
        EngramError: a column is missing, or there are no rows.
    """
    require(table, [*_COLUMNS, *_VALUES], "audit_pairs")
    measures = [name for name in ("popularity", "overlap") if (table["by"] == name).any()]
    rows = list(table.groupby(["model", "direction"], sort=False))
    figure = Figure(
        figsize=(3.3 * len(measures) + 0.4, 1.9 * len(rows) + 0.6), layout="constrained"
    )
    panels = figure.subplots(len(rows), len(measures), squeeze=False, sharey=True, sharex="col")
    for (key, part), line in zip(rows, panels, strict=True):
        for axes, measure in zip(line, measures, strict=True):
            light_grid(axes, "y")
            own = part[part["by"] == measure]
            kinds = [name for name in ("shown", "held-out") if (own["pairs"] == name).any()]
            bins = own[["low", "high"]].drop_duplicates().sort_values("low")
            for weights in own["weights"].unique():
                for kind in kinds or ["all"]:
                    chosen = own[(own["weights"] == weights) & (own["pairs"] == kind)]
                    chosen = chosen.sort_values("low")
                    places = np.searchsorted(bins["low"].to_numpy(), chosen["low"].to_numpy())
                    value, low, high = (100 * chosen[name].to_numpy() for name in _VALUES)
                    name = weights if kind == "all" else f"{weights}, {kind}"
                    axes.errorbar(
                        places, value, [value - low, high - value], color=COLORS[str(weights)],
                        linestyle=LINES[kind], marker="o", markersize=3.5, capsize=2, label=name,
                    )  # fmt: skip
            labels = [f"{low:.3g}–{high:.3g}" for low, high in bins.to_numpy()]
            axes.set_xticks(range(len(bins)), labels)
            axes.set_title(f"{NAMES[str(key[1])]} · {key[0]}", loc="left")
        line[0].set_ylabel("completed (%)")
    for axes, measure in zip(panels[-1], measures, strict=True):
        axes.set_xlabel({"popularity": "popularity", "overlap": "lexical overlap"}[measure])
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names))
    return figure

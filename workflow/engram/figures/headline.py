"""Taxonomies ranked by how well attention separates their classes, with both controls on the same
line.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engram.figures.style import ACCENT, FAINT, INK, SOFT, FigureStyle, require, styled, text_width
from engram.io.errors import EngramError
from engram.scores.confusions import RUNS

METRICS: Mapping[str, str] = {
    "min_f1": "minimum F1 over classes (%)",
    "balanced_accuracy": "balanced accuracy (%)",
}
"""Columns that the figure draws, as fractions with `_low` and `_high`, and what their axes say."""
_MAIN = ("attention", "real")
_SERIES = (
    (("token_identity", "real"), "D", "white", ACCENT, 3.4),
    (("text", "real"), "s", "white", "#0072b2", 3.4),
    (("attention", "shuffled"), "o", "white", SOFT, 3.8),
    (_MAIN, "o", INK, INK, 4.2),
)
"""Run, marker, its inside, colour, size in points; drawn in this order, so that the main series
lies on top.
"""


@styled
def headline(scores: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw one line per taxonomy, best first; a dot and its 95 % interval per run; two columns of
    panels per model and protocol.

    Taxonomies are ranked by the minimum F1 of attention with real labels, averaged over models and
    protocols.

    Args:
        scores: the table `scores.csv`: model, protocol, taxonomy, input, labels, n, and each of
            `METRICS` with `_low` and `_high`.

    Raises:
        EngramError: no rows, a missing column, or no row of attention with real labels.
    """
    columns = [f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")]
    require(scores, ["model", "protocol", "taxonomy", "input", "labels", "n", *columns], "headline")
    scores = scores[scores["n"] > 0]  # the others diverged and have no scores
    real = scores[(scores["input"] == _MAIN[0]) & (scores["labels"] == _MAIN[1])]
    if real.empty:
        raise EngramError(
            "figure headline: no row has input attention and labels real, so nothing can be ranked"
        )
    ranking = (
        real.groupby("taxonomy")["min_f1"].mean().sort_values(ascending=False, kind="stable").index
    )
    rows = {name: position for position, name in enumerate(ranking)}
    groups = list(
        scores[["model", "protocol"]].drop_duplicates().itertuples(index=False, name=None)
    )
    several = scores["protocol"].nunique() > 1
    labels = text_width(ranking, style.font_size - 1)
    height = max(0.9, 0.19 * len(rows))  # inches
    figure = Figure(
        figsize=(labels + 2.5 * len(METRICS) * len(groups), height + 1.1), layout="constrained"
    )
    panels = figure.subplots(1, len(METRICS) * len(groups), squeeze=False, sharey=True)[0]
    for index, axes in enumerate(panels):
        group, metric = groups[index // len(METRICS)], list(METRICS)[index % len(METRICS)]
        part = scores[
            (scores["model"] == group[0])
            & (scores["protocol"] == group[1])
            & scores["taxonomy"].isin(ranking)
        ]
        _draw_panel(axes, part.assign(row=part["taxonomy"].map(rows)), metric, style)
        if index % len(METRICS) == 0:
            axes.set_title(
                " · ".join(group) if several else group[0], loc="left", fontweight="bold"
            )
        else:
            axes.set_title(_sizes(part["n"]), loc="left", color=SOFT, fontsize=style.small)
        axes.set_xlabel(METRICS[metric])
    panels[0].set_yticks(range(len(rows)), list(ranking))
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(
        handles[::-1],
        names[::-1],
        loc="outside upper left",
        ncols=4,
        handletextpad=0.3,
        columnspacing=1.4,
    )
    return figure


def _sizes(n: pd.Series) -> str:
    return f"n = {n.min():,}" if n.min() == n.max() else f"n = {n.min():,} to {n.max():,}"


def _draw_panel(axes: Axes, part: pd.DataFrame, metric: str, style: FigureStyle) -> None:
    axes.grid(visible=True, axis="x")
    axes.tick_params(axis="both", length=0)
    axes.spines["left"].set_visible(False)
    axes.hlines(sorted(part["row"].unique()), 0, 100, color=FAINT, linewidth=0.5)
    chance = part.drop_duplicates("row")
    # Guessing among K balanced classes scores 1 / K in both metrics.
    k = chance["taxonomy"].str.count(",").to_numpy() + 1
    axes.vlines(
        100 / k,
        chance["row"] - 0.42,
        chance["row"] + 0.42,
        color=INK,
        linewidth=0.8,
        linestyle=(0, (1.5, 1.2)),
        label="chance, 1 / classes",
    )
    for run, marker, face, color, size in _SERIES:
        rows = part[(part["input"] == run[0]) & (part["labels"] == run[1])]
        if rows.empty:
            continue
        axes.hlines(
            rows["row"],
            100 * rows[f"{metric}_low"],
            100 * rows[f"{metric}_high"],
            color=color,
            linewidth=1,
        )
        axes.plot(
            100 * rows[metric],
            rows["row"],
            marker,
            color=color,
            markerfacecolor=face,
            markersize=size,
            label=RUNS[run],
        )
        if run == _MAIN:
            for row, value in zip(rows["row"], 100 * rows[metric], strict=True):
                axes.text(
                    101.5, row, f"{value:.1f}", va="center", fontsize=style.small, color=color
                )
    axes.set_xlim(0, 100)
    axes.set_xticks(np.arange(0, 101, 20))

"""Taxonomies ranked with intervals, which pairs of them differ, and the thresholds of Guess: beside
what the paper published.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from engram.figures.style import (
    ACCENT,
    FAINT,
    INK,
    SOFT,
    FigureStyle,
    light_grid,
    require,
    styled,
    text_width,
)

_KINDS = {
    "rouge_l": ("ROUGE-L", "o", "#0072b2"),
    "rouge_3": ("ROUGE-3", "s", "#d55e00"),
    "both": ("either", "D", INK),
}
_MOST_NAMED_PAIRS = 24
"""Taxonomies up to which a matrix of pairs writes its numbers."""


@styled
def ranking(table: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw one panel per model (or all) and protocol: minimum F1 with its interval, the ranks that
    resamples allow, the published value.

    Args:
        table: `benchmark.csv`.
    """
    require(
        table,
        [
            "models",
            "protocol",
            "taxonomy",
            "min_f1",
            "min_f1_low",
            "rank",
            "rank_low",
            "rank_high",
            "published_min_f1",
        ],
        "ranking",
    )
    panels = list(table.groupby(["models", "protocol"], sort=False))
    rows = max(len(part) for _, part in panels)
    names = max(text_width(part["taxonomy"], style.font_size - 1) for _, part in panels)
    figure = Figure(figsize=((names + 3.3) * len(panels), 0.17 * rows + 1.2), layout="constrained")
    for axes, (key, part) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        part = part.reset_index(drop=True)
        light_grid(axes, "x")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.hlines(part.index, 0, 100, color=FAINT, linewidth=0.4)
        axes.hlines(
            part.index, 100 * part["min_f1_low"], 100 * part["min_f1_high"], color=INK, linewidth=1
        )
        axes.plot(100 * part["min_f1"], part.index, "o", color=INK, markersize=3.6, label="here")
        published = {
            "color": ACCENT,
            "markerfacecolor": "white",
            "markersize": 3.4,
            "label": "published (other data)",
        }
        axes.plot(100 * part["published_min_f1"], part.index, "D", **published)
        for place, (rank, low, high) in enumerate(
            part[["rank", "rank_low", "rank_high"]].to_numpy().tolist()
        ):
            axes.text(
                101.5,
                place,
                f"{rank} [{low}, {high}]",
                va="center",
                fontsize=style.small,
                color=SOFT,
            )
        axes.text(101.5, -1, "rank", va="center", fontsize=style.small, color=SOFT)
        axes.set_yticks(part.index, part["taxonomy"])
        axes.set(xlim=(0, 100), ylim=(len(part) - 0.4, -1.5), xlabel="minimum F1 over classes (%)")
        axes.set_title(" · ".join(map(str, key)), loc="left", fontweight="bold")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=2)
    return figure


@styled
def comparisons(table: pd.DataFrame, score: str, *, style: FigureStyle) -> Figure:
    """Draw one matrix per model (or all) and protocol: the row's score minus the column's in
    points; pairs that really differ are framed.

    Args:
        table: `comparisons.csv`.
        score: the score to draw.
    """
    require(
        table,
        ["models", "protocol", "score", "first", "second", "difference", "different"],
        "comparisons",
    )
    panels = [
        (key, part)
        for key, part in table.groupby(["models", "protocol"], sort=False)
        if (part["score"] == score).any()
    ]
    sizes = [part[part["score"] == score]["first"].nunique() + 1 for _, part in panels]
    names = text_width(pd.concat([table["first"], table["second"]]).unique(), style.font_size - 1)
    cell = 0.34 if max(sizes) <= _MOST_NAMED_PAIRS else 0.16
    width = sum(size * cell + names + 0.9 for size in sizes)
    figure = Figure(figsize=(width, max(sizes) * cell + names + 0.7), layout="constrained")
    for axes, (key, whole_part) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        part = whole_part[whole_part["score"] == score]
        order = list(dict.fromkeys([*part["first"], *part["second"]]))
        place = {name: index for index, name in enumerate(order)}
        values = np.full((len(order), len(order)), np.nan)
        a, b = part["first"].map(place).to_numpy(), part["second"].map(place).to_numpy()
        values[a, b], values[b, a] = 100 * part["difference"], -100 * part["difference"]
        limit = max(1e-9, float(np.nanmax(np.abs(values))))
        image = axes.imshow(values, cmap="RdBu", norm=TwoSlopeNorm(0, -limit, limit))
        for y, x, difference, different in zip(
            a, b, 100 * part["difference"], part["different"].astype(bool), strict=True
        ):
            for at, value in (((x, y), difference), ((y, x), -difference)):
                if len(order) <= _MOST_NAMED_PAIRS:
                    ink, weight = (
                        "white" if abs(value) > 0.6 * limit else INK,
                        "bold" if different else "normal",
                    )
                    axes.text(
                        *at,
                        _points(value),
                        ha="center",
                        va="center",
                        fontsize=style.small - 1,
                        fontweight=weight,
                        color=ink,
                    )
                if different:
                    axes.add_patch(_frame(*at))
        axes.set_xticks(range(len(order)), order, rotation=90)
        axes.set_yticks(range(len(order)), order)
        axes.tick_params(length=0)
        axes.set_title(" · ".join(map(str, key)), loc="left", fontweight="bold")
        figure.colorbar(
            image,
            ax=axes,
            label=f"{score.replace('_', ' ')}: row minus column (points)",
            shrink=0.7,
        )
    return figure


@styled
def thresholds(table: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw minimum and mean F1 of the new taxonomy by the threshold ρ of Guess; published values
    are thin.

    Args:
        table: `rho.csv`.
    """
    scores = {"min_f1": "minimum F1 over classes (%)", "mean_f1": "mean F1 over classes (%)"}
    require(
        table,
        ["models", "protocol", "kind", "rho", *scores, "min_f1_low", "published_min_f1"],
        "rho",
    )
    panels = list(table.groupby(["models", "protocol"], sort=False))
    figure = Figure(figsize=(3.4 * len(scores), 2.5 * len(panels) + 0.5), layout="constrained")
    for row, (key, part) in zip(
        figure.subplots(len(panels), len(scores), squeeze=False), panels, strict=True
    ):
        for axes, (score, label) in zip(row, scores.items(), strict=True):
            light_grid(axes, "y")
            for kind, (name, marker, color) in _KINDS.items():
                own = part[part["kind"] == kind].sort_values("rho")
                if own.empty:
                    continue
                ends = _ends(own, score)
                axes.errorbar(
                    own["rho"],
                    100 * own[score],
                    ends,
                    fmt=f"{marker}-",
                    color=color,
                    markersize=3.5,
                    linewidth=1,
                    label=name,
                )
                axes.plot(
                    own["rho"], 100 * own[f"published_{score}"], ":", color=color, linewidth=0.8
                )
            axes.set_xticks(ticks := sorted(part["rho"].unique()), [f"{tick:g}" for tick in ticks])
            axes.set(
                xlabel="threshold ρ of Guess",
                ylabel=label,
                xlim=(min(ticks) - 0.05, max(ticks) + 0.05),
            )
        row[0].set_title(" · ".join(map(str, key)), loc="left", fontweight="bold")
    handles, labels = row[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=len(labels),
        title="dotted: published, other data",
    )
    return figure


def _ends(part: pd.DataFrame, score: str) -> Sequence[np.ndarray]:
    value = part[score].to_numpy()
    return [
        100 * (value - part[f"{score}_low"].to_numpy()),
        100 * (part[f"{score}_high"].to_numpy() - value),
    ]


def _points(value: float) -> str:
    """Return `+3`, `-12`, and `0` for what rounds to it from either side."""
    rounded = round(value)
    return f"{rounded:+d}" if rounded else "0"


def _frame(x: float, y: float) -> Rectangle:
    return Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=0.8)

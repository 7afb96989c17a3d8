"""How often the nursery's windows are memorized, by the number of times the model saw them, with
next to the twin.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engram.figures.style import INK, SOFT, FigureStyle, light_grid, require, styled, text_width

NATURAL = "natural"
"""The `kind` of windows cut from real text; every other kind is a family of templates."""


def wilson(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Return Wilson's score interval of a share, as fractions; 95 % by default. It stays in [0, 1]
    and has a width at 0 and at 1.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference
    (1927).
    """
    share = successes / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, center - half), min(1.0, center + half)


@styled
def memorization_vs_exposures(windows: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw the share of windows whose suffix is extracted exactly, per exposure count: the drilled
    model and the twin that never saw them.

    Args:
        windows: one row per window: exposures int, kind (`natural` or a template family), extracted
            bool, twin_extracted bool.

    Raises:
        EngramError: no rows, or a column is missing.
    """
    require(
        windows, ["exposures", "kind", "extracted", "twin_extracted"], "memorization_vs_exposures"
    )
    natural = windows["kind"] == NATURAL
    groups = {"natural windows": windows[natural], "templates": windows[~natural]}
    groups = {title: rows for title, rows in groups.items() if len(rows)}
    scales = [exposure_positions(sorted(rows["exposures"].unique())) for rows in groups.values()]
    widths = [max(scale.values()) - min(scale.values()) + 1.4 for scale in scales]  # doublings
    inch = max(0.42, *(_inches_per_doubling(scale, style) for scale in scales))
    figure = Figure(figsize=(0.9 + inch * sum(widths), 3.2), layout="constrained")
    panels = figure.subplots(1, len(groups), squeeze=False, sharey=True, width_ratios=widths)[0]
    for axes, (title, rows), scale in zip(panels, groups.items(), scales, strict=True):
        _draw_panel(axes, rows, scale, style)
        axes.set_title(title, fontweight="bold", pad=32)
    panels[0].set_ylabel("extracted exactly (% of windows)")
    figure.supxlabel("exposures in drilling (log₂ scale; 0 = never)", fontsize=style.font_size)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside upper left", ncols=2)
    return figure


def exposure_positions(counts: list[int]) -> dict[int, float]:
    """Return the position of each exposure count on the x axis: log2, and for 0 one and a half
    doublings to the left of the least other count.
    """
    positive = [count for count in counts if count > 0]
    left = math.log2(positive[0]) - 1.5 if positive else 0.0
    return {count: math.log2(count) if count > 0 else left for count in counts}


def _inches_per_doubling(positions: dict[int, float], style: FigureStyle) -> float:
    """Scale at which two neighbouring tick labels do not touch."""
    steps = np.diff(list(positions.values()))
    return (
        (text_width([f"{count:,}" for count in positions], style.font_size - 1) + 0.04)
        / steps.min()
        if len(steps)
        else 0.0
    )


def _draw_panel(
    axes: Axes, rows: pd.DataFrame, positions: dict[int, float], style: FigureStyle
) -> None:
    light_grid(axes, "y")
    series = (
        ("twin_extracted", "twin, never drilled", "o", "white", SOFT, 0.09),
        ("extracted", "drilled model", "o", INK, INK, -0.09),
    )
    for column, label, marker, face, color, shift in series:
        grouped = rows.groupby("exposures")[column].agg(["sum", "size"])
        x = np.array([positions[count] for count in grouped.index])
        share = (grouped["sum"] / grouped["size"]).to_numpy(dtype=float)  # (points,)
        bounds = np.array(
            [wilson(int(hits), int(n)) for hits, n in grouped.to_numpy()]
        )  # (points, 2)
        # Zero is off the logarithmic scale, so no line leads to it.
        seen = np.asarray(grouped.index) > 0
        axes.plot(x[seen] + shift, 100 * share[seen], color=color, linewidth=1)
        axes.vlines(x + shift, 100 * bounds[:, 0], 100 * bounds[:, 1], color=color, linewidth=1)
        axes.plot(
            x + shift,
            100 * share,
            marker,
            color=color,
            markerfacecolor=face,
            markersize=4.5,
            label=label,
        )
    sizes = rows.groupby("exposures").size()
    note: dict[str, Any] = {
        "textcoords": "offset points",
        "va": "bottom",
        "color": SOFT,
        "fontsize": style.small,
    }
    for index, (count, n) in enumerate(zip(sizes.index, sizes, strict=True)):
        # Two heights in turn: counts of windows are wider than the ticks are apart.
        axes.annotate(
            f"{n:,}",
            (positions[count], 1),
            (0, 4 + 10 * (index % 2)),
            xycoords=("data", "axes fraction"),
            ha="center",
            **note,
        )
    axes.annotate("n =", (0, 1), (-4, 4), xycoords="axes fraction", ha="right", **note)
    if 0 in positions and len(positions) > 1:
        axes.axvline(positions[0] + 0.75, color=SOFT, linewidth=0.6, linestyle=(0, (2, 3)))
    axes.set_xticks(list(positions.values()), [f"{count:,}" for count in positions])
    axes.set_xlim(min(positions.values()) - 0.6, max(positions.values()) + 0.6)
    axes.set_ylim(-3, 103)

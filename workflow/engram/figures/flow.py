"""How memorized samples move from one taxonomy to another (paper, Figure 2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from engram.figures.style import (
    SOFT,
    FigureStyle,
    class_colors,
    require,
    styled,
    text_width,
    wrap_class,
)
from engram.io.errors import EngramError

_BAR = 0.05
"""Width of a class's bar, where the axes are 1 wide."""
_GAP = 0.05
"""White between two bars, where all samples together are 1 high."""


@styled
def taxonomy_flow(
    samples: pd.DataFrame,
    old_classes: Sequence[str],
    new_classes: Sequence[str],
    titles: tuple[str, str],
    *,
    style: FigureStyle,
) -> Figure:
    """Draw the classes of the old taxonomy at the left, of the new one at the right, bands as wide
    as the share of samples they carry.

    Args:
        samples: one row per memorized sample: `old` and `new`, the class in either taxonomy.
        old_classes, new_classes: the classes from top to bottom; those without a sample are left
            out.
        titles: printed above either side.

    Raises:
        EngramError: no rows, a missing column, or a class that is not listed.
    """
    require(samples, ["old", "new"], "taxonomy_flow")
    for column, known in (("old", old_classes), ("new", new_classes)):
        if unknown := sorted(set(samples[column].fillna("(none)")) - set(known)):
            raise EngramError(
                f"figure taxonomy_flow: {column} class {', '.join(unknown)} is not one of "
                f"{', '.join(known)}"
            )
    counts = pd.crosstab(samples["old"], samples["new"])
    counts = counts.reindex(
        index=[c for c in old_classes if c in counts.index],
        columns=[c for c in new_classes if c in counts.columns],
    )
    shares = counts.to_numpy() / len(samples)  # (old, new)
    note = text_width([f"100.0 % ({len(samples):,})"], style.small)
    left, right = (
        max(note, text_width(map(wrap_class, names), style.font_size, "bold")) + 0.2
        for names in (counts.index, counts.columns)
    )
    rows = max(counts.shape)
    # Inches: the titles stand side by side over the whole width.
    middle = max(
        3.4,
        sum(text_width([title], style.font_size, "bold") for title in titles) + 0.3 - left - right,
    )
    width, height = left + middle + right, 1.6 + 0.55 * rows
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((left / width, 0.2 / height, middle / width, 1 - 0.55 / height))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    bottom = 1 + _GAP * (rows - 1)
    axes.set_ylim(bottom, 0)
    unit = bottom / (height - 0.55)  # of the axes, per inch
    colors = class_colors(list(counts.columns), style)
    old_tops, new_tops = _tops(shares.sum(axis=1), rows), _tops(shares.sum(axis=0), rows)
    _draw_bands(axes, shares, old_tops, new_tops, colors, style.font_size / 72 * unit)
    _draw_bars(
        axes, counts.sum(axis=1), old_tops, class_colors(list(counts.index), style), 0, unit, style
    )
    _draw_bars(axes, counts.sum(axis=0), new_tops, colors, 1, unit, style)
    figure.text(0, 1 - 0.25 / height, titles[0], ha="left", va="bottom", fontweight="bold")
    figure.text(1, 1 - 0.25 / height, titles[1], ha="right", va="bottom", fontweight="bold")
    axes.text(
        0.5,
        bottom + 0.09 * unit,
        f"n = {len(samples):,} memorized samples",
        ha="center",
        va="top",
        color=SOFT,
        fontsize=style.small,
    )
    return figure


def _tops(shares: np.ndarray, rows: int) -> np.ndarray:
    """Return the upper edge of each bar; the side with fewer classes is centred."""
    offset = _GAP * (rows - len(shares)) / 2
    return offset + np.concatenate([[0.0], np.cumsum(shares)[:-1]]) + _GAP * np.arange(len(shares))


def _draw_bands(
    axes: Axes,
    shares: np.ndarray,
    old_tops: np.ndarray,
    new_tops: np.ndarray,
    colors: Sequence[str],
    legible: float,
) -> None:
    """Bézier bands in the order of the other side's classes, so that they cross least; shares from
    `legible` on are written.
    """
    start, end, middle = _BAR, 1 - _BAR, 0.5
    for (old, new), share in np.ndenumerate(shares):
        if share == 0:
            continue
        left = old_tops[old] + shares[old, :new].sum()
        right = new_tops[new] + shares[:old, new].sum()
        vertices = [
            (start, left),
            (middle, left),
            (middle, right),
            (end, right),
            (end, right + share),
            (middle, right + share),
            (middle, left + share),
            (start, left + share),
            (start, left),
        ]
        codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
        axes.add_patch(
            PathPatch(Path(vertices, codes), facecolor=colors[new], alpha=0.42, linewidth=0)
        )
        if share >= legible:
            axes.text(
                start + 0.02, left + share / 2, f"{100 * share:.1f} %", ha="left", va="center"
            )


def _draw_bars(
    axes: Axes,
    counts: pd.Series,
    tops: np.ndarray,
    colors: Sequence[str],
    side: int,
    unit: float,
    style: FigureStyle,
) -> None:
    shares = counts.to_numpy() / counts.sum()
    lines = [wrap_class(str(name)).count("\n") + 1 for name in counts.index]
    # Above its middle a label has its name's lines, below it the share; 1.3 times the letters' size
    # each.
    over = np.array([1.3 * style.font_size / 72 * unit * line for line in lines])
    under = 1.3 * style.small / 72 * unit
    middles = tops + shares / 2
    for index in range(1, len(middles)):
        middles[index] = max(middles[index], middles[index - 1] + under + over[index])
    x, align = (1.03, "left") if side else (-0.03, "right")
    for name, count, share, top, middle, color in zip(
        counts.index, counts, shares, tops, middles, colors, strict=True
    ):
        axes.add_patch(Rectangle((side * (1 - _BAR), top), _BAR, share, color=color, linewidth=0))
        axes.text(x, middle, wrap_class(str(name)), ha=align, va="bottom", fontweight="bold")
        axes.text(
            x,
            middle,
            f"{100 * share:.1f} % ({count:,})",
            ha=align,
            va="top",
            color=SOFT,
            fontsize=style.small,
        )

"""Confusion matrices with the control next to them (paper, Figures 5 and 7-12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engram.figures.style import (
    FAINT,
    INK,
    FigureStyle,
    styled,
    text_width,
    title_with_note,
    wrap_class,
)
from engram.io.errors import EngramError

_TOP = 125.0
"""Percent at which the colours end: the darkest fifth is left out, so that text can stand on it."""


@styled
def confusion_matrices(
    panels: Mapping[str, Mapping[str, np.ndarray]], classes: Sequence[str], *, style: FigureStyle
) -> Figure:
    """Draw one matrix per model (rows of panels) and kind of run (columns), each row of a matrix in
    percent of its true class.

    Args:
        panels: model → title of the run (e.g. `attention`, `shuffled labels`) → counts (K, K), rows
            the true classes, columns the predicted ones; every model has the same runs.
        classes: the K class names, in the order of the counts.

    Raises:
        EngramError: no panel, counts of another shape, or a model without one of the runs.
    """
    _check(panels, classes)
    names = [wrap_class(name) for name in classes]
    runs = list(next(iter(panels.values())))
    titles = text_width([*panels, *runs], style.font_size, "bold")
    # Inches: a column is wide enough for its class's name, a matrix for its title.
    cell = max(0.72, text_width(names, style.font_size - 1) + 0.12, titles / len(classes))
    side = len(classes) * cell
    # Room for class names at the left and below, and for titles.
    size = (len(runs) * (side + 0.25) + cell + 0.7, len(panels) * (0.8 * side + 0.6) + 0.6)
    figure = Figure(figsize=size, layout="compressed")
    grid = figure.subplots(len(panels), len(runs), squeeze=False, sharex=True, sharey=True)
    for row, (model, matrices) in zip(grid, panels.items(), strict=True):
        for axes, run in zip(row, runs, strict=True):
            _draw_matrix(axes, matrices[run], style)
            title_with_note(
                axes, f"{model}\n{run}", f"{int(matrices[run].sum()):,} predictions", style
            )
        row[0].set_yticks(range(len(classes)), names)
        row[0].set_ylabel("true class")
    for axes in grid[-1]:
        axes.set_xticks(range(len(classes)), names)
        axes.set_xlabel("predicted class")
    return figure


def _check(panels: Mapping[str, Mapping[str, np.ndarray]], classes: Sequence[str]) -> None:
    if not panels or not all(panels.values()):
        raise EngramError("figure confusion: no predictions, so there is nothing to draw")
    first = list(next(iter(panels.values())))
    for model, matrices in panels.items():
        if set(matrices) != set(first):
            raise EngramError(
                f"figure confusion: {model} has the runs {', '.join(matrices)}, the first model "
                f"{', '.join(first)}"
            )
        for run, counts in matrices.items():
            if counts.shape != (len(classes), len(classes)):
                raise EngramError(
                    f"figure confusion: {model}, {run}: counts of shape {counts.shape} for "
                    f"{len(classes)} classes"
                )


def _draw_matrix(axes: Axes, counts: np.ndarray, style: FigureStyle) -> None:
    totals = counts.sum(axis=1, keepdims=True)  # (K, 1)
    percent = 100 * counts / np.where(totals == 0, 1, totals)  # (K, K)
    axes.imshow(percent, cmap=style.cmap, vmin=0, vmax=_TOP, aspect=0.8)
    for (row, column), value in np.ndenumerate(percent):
        red, green, blue, _ = style.cmap(float(value) / _TOP)
        ink = "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else INK
        weight = "bold" if row == column else "normal"
        center: dict[str, Any] = {
            "xy": (column, row),
            "textcoords": "offset points",
            "ha": "center",
            "color": ink,
        }
        axes.annotate(f"{value:.1f} %", xytext=(0, 0.5), va="bottom", fontweight=weight, **center)
        axes.annotate(
            f"{int(counts[row, column]):,}",
            xytext=(0, -3.5),
            va="top",
            fontsize=style.small,
            **center,
        )
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(FAINT)
    axes.tick_params(length=0)
    edges = np.arange(len(counts) - 1) + 0.5
    axes.hlines(edges, -0.5, len(counts) - 0.5, color="white", linewidth=1)
    axes.vlines(edges, -0.5, len(counts) - 0.5, color="white", linewidth=1)

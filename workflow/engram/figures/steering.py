"""Dose-response curves of steering: what is left of each class at every step."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from engram.figures.style import (
    ACCENT,
    SOFT,
    FigureStyle,
    class_colors,
    light_grid,
    require,
    styled,
)

PANELS = {
    "extracted": (100.0, "extracted (%)"),
    "suffix_log_prob": (1.0, "log-probability per token (nats)"),
    "perplexity": (1.0, "perplexity of the suffix"),
}
"""Columns that are drawn, with scale and label."""
DASHES = {"probe": "-", "random": "--", "shuffled": ":"}
"""Lines of the kinds of directions."""
OTHER_TEXT = "other text"
"""The class of texts outside all samples."""


@styled
def dose_response(doses: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw extraction, log-probability and perplexity over the step α, class by class, with
    controls.

    Args: doses: `engram.mechanisms.steering.Steered.by_class`.

    Raises:
        EngramError: a column is missing, or the table is empty.
    """
    ends = [f"{name}{end}" for name in PANELS for end in ("", "_low", "_high")]
    require(doses, ["class", "n", "direction", "alpha", *ends], "dose_response")
    names = [str(name) for name in doses["class"].unique()]
    classes = [name for name in names if name != OTHER_TEXT]
    colors = dict(zip(classes, class_colors(classes, style), strict=True)) | {OTHER_TEXT: ACCENT}
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    for axes, (column, (scale, label)) in zip(
        figure.subplots(1, len(PANELS)), PANELS.items(), strict=True
    ):
        light_grid(axes, "y")
        axes.axvline(0, color=SOFT, linewidth=0.7)
        for name in names:
            of_class = doses[doses["class"] == name].sort_values("alpha")
            for kind, dashes in DASHES.items():
                rows = of_class[of_class["direction"] == kind]
                alpha = rows["alpha"].astype(float)
                value, low, high = (
                    scale * rows[f"{column}{end}"].astype(float) for end in ("", "_low", "_high")
                )
                probe = kind == "probe"
                axes.plot(
                    alpha,
                    value,
                    dashes,
                    color=colors[name],
                    linewidth=1.3 if probe else 0.8,
                    marker="o" if probe else "",
                    markersize=2.5,
                    label=f"{name} (n = {rows['n'].iloc[0]:,})" if probe else None,
                )
                if probe:
                    axes.fill_between(alpha, low, high, color=colors[name], alpha=0.16, linewidth=0)
        axes.set_xlabel("step α")
        axes.set_ylabel(label)
        if column == "perplexity":
            axes.set_yscale("log")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=min(4, len(labels)))
    return figure

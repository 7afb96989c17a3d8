"""What attention adds over each baseline, the protocols side by side, and how far the CNNs'
probabilities can be trusted.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

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
from engram.scores.confusions import RUNS

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", SOFT, "#56b4e9", INK)
_PROTOCOLS = {"engram": ("o", INK), "paper": ("D", ACCENT), "reference": ("s", "#0072b2")}
_TEXT = ("text", "real")
_ADDED = {"balanced_accuracy": "balanced accuracy (points)", "min_f1": "minimum F1 (points)"}
_SHIFTED = {"min_f1": "minimum F1 over classes (%)", "balanced_accuracy": "balanced accuracy (%)"}


@styled
def attention_adds(table: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw attention minus every baseline and control, in points, with simultaneous intervals, and
    what text and attention score more than the text alone; one line per taxonomy and rival.

    Args:
        table: `attention_adds.csv`.
    """
    require(
        table,
        [
            "model",
            "protocol",
            "taxonomy",
            "input",
            "labels",
            "score",
            "difference",
            "simultaneous_low",
        ],
        "attention_adds",
    )
    groups = list(table.groupby(["model", "protocol"], sort=False))
    runs = list(dict.fromkeys(zip(table["input"], table["labels"], strict=True)))
    names = {
        run: RUNS.get(
            run, f"{run[0].replace('_', ' ')}" if run[1] == "real" else f"{run[0]}, {run[1]}"
        )
        for run in runs
    }
    # The text alone is taken from text and attention together, all others from attention.
    names |= {_TEXT: "text, attention added"} if _TEXT in names else {}
    taxonomies = list(dict.fromkeys(table["taxonomy"]))
    height = 0.13 * len(taxonomies) * len(runs) + 0.12 * len(taxonomies) + 1
    figure = Figure(
        figsize=(
            text_width(taxonomies, style.font_size - 1) + 2.6 * len(_ADDED) * len(groups),
            height,
        ),
        layout="constrained",
    )
    panels = figure.subplots(1, len(groups) * len(_ADDED), squeeze=False, sharey=True)[0]
    step = 1 / (len(runs) + 1)
    for index, axes in enumerate(panels):
        (key, part), score = groups[index // len(_ADDED)], list(_ADDED)[index % len(_ADDED)]
        light_grid(axes, "x")
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.hlines(
            [y + 0.5 for y in range(len(taxonomies) - 1)],
            0,
            1,
            transform=axes.get_yaxis_transform(),
            color=FAINT,
            linewidth=0.5,
        )
        for number, run in enumerate(runs):
            own = part[
                (part["score"] == score) & (part["input"] == run[0]) & (part["labels"] == run[1])
            ]
            y = own["taxonomy"].map(taxonomies.index) - 0.5 + step * (number + 1)
            color = _COLORS[number % len(_COLORS)]
            axes.hlines(
                y,
                100 * own["simultaneous_low"],
                100 * own["simultaneous_high"],
                color=color,
                linewidth=1,
            )
            axes.plot(
                100 * own["difference"], y, "o", color=color, markersize=3.4, label=names[run]
            )
        axes.set_xlabel(_ADDED[score])
        axes.set_title(
            " · ".join(map(str, key)) if index % len(_ADDED) == 0 else "attention minus …",
            loc="left",
            fontweight="bold",
        )
    panels[0].set_yticks(range(len(taxonomies)), taxonomies)
    panels[0].set_ylim(len(taxonomies) - 0.5, -0.5)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    return figure


@styled
def protocols(table: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw what every protocol reports of each taxonomy, with intervals.

    Args:
        table: `protocols.csv`.
    """
    require(
        table,
        ["model", "taxonomy", "protocol", *_SHIFTED, "min_f1_low", "balanced_accuracy_low"],
        "protocols",
    )
    models, taxonomies = list(dict.fromkeys(table["model"])), list(dict.fromkeys(table["taxonomy"]))
    used = list(dict.fromkeys(table["protocol"]))
    figure = Figure(
        figsize=(
            text_width(taxonomies, style.font_size - 1) + 2.6 * len(_SHIFTED) * len(models),
            0.3 * len(taxonomies) + 1.1,
        ),
        layout="constrained",
    )
    panels = figure.subplots(1, len(models) * len(_SHIFTED), squeeze=False, sharey=True)[0]
    for index, axes in enumerate(panels):
        model, score = models[index // len(_SHIFTED)], list(_SHIFTED)[index % len(_SHIFTED)]
        light_grid(axes, "x")
        for number, protocol in enumerate(used):
            own = table[(table["model"] == model) & (table["protocol"] == protocol)]
            y = own["taxonomy"].map(taxonomies.index) + 0.22 * (number - (len(used) - 1) / 2)
            marker, color = _PROTOCOLS.get(protocol, ("o", SOFT))
            axes.hlines(
                y, 100 * own[f"{score}_low"], 100 * own[f"{score}_high"], color=color, linewidth=1
            )
            axes.plot(100 * own[score], y, marker, color=color, markersize=3.8, label=protocol)
        axes.set(xlim=(0, 100), xlabel=_SHIFTED[score])
        if index % len(_SHIFTED) == 0:
            axes.set_title(model, loc="left", fontweight="bold")
    panels[0].set_yticks(range(len(taxonomies)), taxonomies)
    panels[0].set_ylim(len(taxonomies) - 0.5, -0.5)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), title="protocol")
    return figure


@styled
def reliability(table: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw the accuracy by confidence: a line per taxonomy, the diagonal is what calibrated
    probabilities would give.

    Args:
        table: `calibration.csv`.
    """
    require(
        table,
        ["model", "protocol", "taxonomy", "bin", "predictions", "confidence", "accuracy"],
        "reliability",
    )
    panels = list(table.groupby(["model", "protocol"], sort=False))
    figure = Figure(figsize=(2.9 * len(panels) + 0.4, 3.2), layout="constrained")
    for axes, (key, part) in zip(
        figure.subplots(1, len(panels), squeeze=False, sharey=True)[0], panels, strict=True
    ):
        light_grid(axes, "both")
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8, linestyle=(0, (2, 2)))
        for _, own in part.groupby("taxonomy", sort=False):
            axes.plot(
                own["confidence"], own["accuracy"], color="#0072b2", alpha=0.45, linewidth=0.8
            )
            axes.scatter(
                own["confidence"],
                own["accuracy"],
                40 * own["predictions"] / own["predictions"].sum(),
                color="#0072b2",
                alpha=0.45,
            )
        axes.set(
            xlim=(0, 1), ylim=(0, 1), xlabel="confidence of the predicted class", aspect="equal"
        )
        axes.set_title(" · ".join(map(str, key)), loc="left", fontweight="bold")
    figure.axes[0].set_ylabel("share of right predictions")
    return figure

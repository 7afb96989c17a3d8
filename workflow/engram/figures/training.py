"""Loss curves: of the CNNs, with the shuffled control next to them, and of the nursery's models."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from engram.figures.style import (
    ACCENT,
    INK,
    SOFT,
    FigureStyle,
    light_grid,
    require,
    styled,
    title_with_note,
)
from engram.io.errors import EngramError
from engram.scores.confusions import RUNS


@styled
def training_curves(history: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw the loss (above) and accuracy (below) per epoch: a thin line per CNN, their mean bold,
    one column per kind of training.

    The validation split is drawn next to the training split, or the test split where nothing is
    chosen (the paper's protocol). A dot on its line marks the epoch whose predictions are reported.

    Args:
        history: input, labels, cnn, seed, epoch, split (train, validation, test), loss in nats per
            sample, accuracy as a fraction, selected bool.

    Raises:
        EngramError: no rows, a missing column, or no known kind of training.
    """
    require(
        history,
        ["input", "labels", "cnn", "seed", "epoch", "split", "loss", "accuracy", "selected"],
        "training_curves",
    )
    history = history[history["epoch"] > 0]  # probes have no epochs
    history = history.assign(accuracy=100 * history["accuracy"])
    held_out = "validation" if (history["split"] == "validation").any() else "test"
    splits = (("train", SOFT, (0, (4, 1.5))), (held_out, INK, "solid"))
    runs = {
        title: rows
        for key, title in RUNS.items()
        if len(rows := history[(history["input"] == key[0]) & (history["labels"] == key[1])])
    }
    if not runs:
        raise EngramError(
            f"figure training_curves: input {history['input'].iloc[0]} with labels "
            f"{history['labels'].iloc[0]} is not known"
        )
    figure = Figure(figsize=(0.6 + 2.25 * len(runs), 3.9), layout="constrained")
    grid = figure.subplots(2, len(runs), squeeze=False, sharex=True, sharey="row")
    for column, (title, rows) in enumerate(runs.items()):
        for axes, value in ((grid[0, column], "loss"), (grid[1, column], "accuracy")):
            light_grid(axes, "y")
            for split, color, dashes in splits:
                part = rows[rows["split"] == split]
                for _, line in part.groupby(["cnn", "seed"]):
                    line = line.sort_values("epoch")
                    axes.plot(
                        line["epoch"],
                        line[value],
                        color=color,
                        linewidth=0.5,
                        alpha=0.45,
                        linestyle=dashes,
                    )
                    if split == held_out:
                        chosen = line[line["selected"]]
                        axes.plot(
                            chosen["epoch"],
                            chosen[value],
                            "o",
                            color=ACCENT,
                            markersize=3,
                            markeredgewidth=0,
                            zorder=3,
                        )
                mean = part.groupby("epoch")[value].mean()
                axes.plot(
                    mean.index, mean, color=color, linewidth=1.8, linestyle=dashes, label=split
                )
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        count = rows.groupby(["cnn", "seed"]).ngroups
        title_with_note(grid[0, column], title, f"{count} CNN{'s' if count > 1 else ''}", style)
        grid[1, column].set_xlabel("epoch")
    grid[0, 0].set_ylabel("loss (nats per sample)")
    grid[1, 0].set_ylabel("accuracy (%)")
    grid[0, 0].set_ylim(bottom=0)
    grid[1, 0].set_ylim(0, 100)
    grid[1, 0].plot([], [], "o", color=ACCENT, markersize=3, label="reported epoch")
    grid[1, 0].legend(loc="lower right", handlelength=2.4)
    return figure


@styled
def nursery_training(curves: Mapping[str, pd.DataFrame], *, style: FigureStyle) -> Figure:
    """Draw training loss against tokens seen, one panel per stage.

    Args:
        curves: title of the stage (base, drilling) → its curve: tokens (seen), loss in nats per
            token.

    Raises:
        EngramError: no stage, a stage without rows, or a missing column.
    """
    if not curves:
        raise EngramError("figure nursery_training: no loss curve, so there is nothing to draw")
    for curve in curves.values():
        require(curve, ["tokens", "loss"], "nursery_training")
    figure = Figure(figsize=(0.7 + 2.9 * len(curves), 2.6), layout="constrained")
    for axes, (title, curve) in zip(
        figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True
    ):
        light_grid(axes, "y")
        axes.plot(curve["tokens"] / 1e6, curve["loss"], color=INK, linewidth=1)
        last = curve.iloc[-1]
        axes.plot(last["tokens"] / 1e6, last["loss"], "o", color=ACCENT, markersize=3.5)
        axes.annotate(
            f"{last['loss']:.2f}",
            (last["tokens"] / 1e6, last["loss"]),
            (0, 6),
            textcoords="offset points",
            ha="right",
            va="bottom",
            color=ACCENT,
        )
        axes.set_title(title, fontweight="bold")
        axes.set_xlabel("training tokens seen (millions)")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.set_ylim(bottom=0)
    figure.axes[0].set_ylabel("loss (nats per token)")
    return figure

"""Figures of crossed exposures: what exposure did, what knows the exposed model, and where."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engram.crossed.tables import ALL_BASES, ALL_PAIRS
from engram.figures.style import ACCENT, INK, SOFT, FigureStyle, light_grid, require, styled
from engram.nursery.arms import STRATA

INPUT_LABELS = {
    "attention_mean": "attention, mean over heads",
    "attention_max": "attention, max over heads",
    "cnn_attention_mean": "CNN, attention, mean",
    "cnn_attention_max": "CNN, attention, max",
    "suffix_log_prob": "log-probability of the suffix",
    "hidden_states": "hidden states",
    "feed_forward": "feed-forward outputs",
    "entropy": "entropy of representations",
    "remind": "REMIND",
    "lens": "logit lens",
    "noise": "noise on the residual stream",
    "loss": "loss of the window",
    "zlib": "loss per compressed byte",
    "min_k": "Min-K %",
    "min_k_plus_plus": "Min-K %++",
}
STRATUM_LABELS = {
    "low": "natural, low overlap",
    "high": "natural, high overlap",
    "guessed": "natural, guessed before",
    "natural": "natural",
    "templates": "templates",
    "all": "all",
}


@styled
def paired_scores(scores: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw the accuracy of the paired scorers on test windows by assigned dose: an input per row, a
    stratum per panel; a dot per pair, the mean over pairs with its interval, and where redrawn arms
    lie.

    Args:
        scores: see `engram.crossed.pair.PairScores.rows`, led by `pair`.

    Raises:
        EngramError: a column is missing.
    """
    columns = ["pair", "input", "trained_on", "tested_on", "dose", "selection", "accuracy"]
    require(scores, [*columns, "accuracy_low", "accuracy_high", "null_95"], "crossed_scores")
    shown = scores[(scores["selection"] == "assigned") & (scores["dose"] == 0)]
    figure, cells = _panels_of_inputs(shown, 1.1, style)
    for axes, row, mine in cells:
        single = mine[~mine["pair"].isin([ALL_PAIRS, ALL_BASES])]
        _dots(axes, row + 0.22, single)
        for kind, shift, color in ((ALL_PAIRS, 0.0, INK), (ALL_BASES, -0.22, ACCENT)):
            for _, own in mine[mine["pair"] == kind].iterrows():
                _accuracy(axes, row + shift, own, color)
                if kind == ALL_PAIRS:
                    _chance(axes, row, own)
    return figure


@styled
def transferred_scores(transfer: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw the accuracy of paired scorers in pairs that they were not trained in: an input per row,
    a stratum per panel; a dot per pair of pairs, the means over pairs of the same base and of other
    bases with their intervals, and where redrawn arms lie.

    Args:
        transfer: see `engram.crossed.transfer.transfer_table`.

    Raises:
        EngramError: a column is missing.
    """
    columns = ["bases", "trained_in", "input", "trained_on", "tested_on", "accuracy"]
    require(transfer, [*columns, "accuracy_low", "accuracy_high", "null_95"], "crossed_transfer")
    figure, cells = _panels_of_inputs(transfer, 1.4, style)
    kinds = (
        ("same base", "pairs of the same base", -0.15, INK),
        ("other base", "pairs of other bases", 0.15, ACCENT),
    )
    for axes, row, mine in cells:
        for kind, label, shift, color in kinds:
            of_kind = mine[mine["bases"] == kind]
            means = of_kind["trained_in"] == ALL_PAIRS
            _dots(axes, row + shift, of_kind[~means])
            for _, own in of_kind[means].iterrows():
                _accuracy(axes, row + shift, own, color, None if row else label)
                _chance(axes, row + shift, own)
    first = figure.axes[0].get_legend_handles_labels()
    figure.legend(*first, loc="outside upper left", ncols=2)
    return figure


@styled
def exposure_effects(effects: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw the share extracted by the exposed and the unexposed model on the same text, by dose, a
    panel per stratum; a line per pair.

    Args:
        effects: see `engram.crossed.effects.effect_table`, led by `pair`.

    Raises:
        EngramError: a column is missing.
    """
    ends = [f"{name}{end}" for name in ("exposed", "unexposed") for end in ("", "_low", "_high")]
    require(effects, ["pair", "split", "stratum", "dose", *ends, "base"], "crossed_effects")
    shown = effects[(effects["split"] == "all") & (effects["dose"] > 0)]
    shown = shown[shown["pair"] != ALL_PAIRS]
    strata = [name for name in STRATA if name in set(shown["stratum"])]
    figure = Figure(figsize=(1.2 + 2.0 * len(strata), 2.9), layout="constrained")
    panels = figure.subplots(1, len(strata), sharey=True, squeeze=False)[0]
    doses = sorted(shown["dose"].unique())
    pairs = list(dict.fromkeys(shown["pair"]))
    for axes, stratum in zip(panels, strata, strict=True):
        light_grid(axes, "y")
        for number, pair in enumerate(pairs):
            mine = shown[(shown["stratum"] == stratum) & (shown["pair"] == pair)]
            mine = mine.sort_values("dose")
            shift = 0.08 * (number - (len(pairs) - 1) / 2)
            x = np.array([doses.index(dose) for dose in mine["dose"]]) + shift
            for name, color, label in (
                ("exposed", INK, "shown the window"),
                ("unexposed", ACCENT, "not shown it"),
            ):
                axes.plot(
                    x,
                    100 * mine[name],
                    "o-",
                    color=color,
                    markersize=3.5,
                    linewidth=1,
                    label=label if number == 0 else None,
                )
                low, high = 100 * mine[f"{name}_low"], 100 * mine[f"{name}_high"]
                axes.vlines(x, low, high, color=color, linewidth=1)
        axes.set_xticks(range(len(doses)), [f"{dose:,}" for dose in doses])
        axes.set_xlim(-0.5, len(doses) - 0.5)
        axes.set_ylim(-3, 103)
        axes.set_title(STRATUM_LABELS[stratum])
    panels[0].set_ylabel("extracted exactly (% of windows)")
    figure.supxlabel("showings in drilling", fontsize=style.font_size)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


@styled
def layer_map(layers: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw the accuracy of paired scorers that see one layer and distance band alone, mean over
    pairs, with the band's share of Δ written into it.

    Args:
        layers: see `engram.crossed.localization.layer_table`, led by `pair`.

    Raises:
        EngramError: a column is missing.
    """
    require(layers, ["pair", "layer", "band", "delta", "accuracy"], "crossed_layers")
    mean = layers.groupby(["layer", "band"], sort=False)[["delta", "accuracy"]].mean()
    bands = list(dict.fromkeys(layers["band"]))
    numbers = sorted(layers["layer"].unique())
    grid = np.array([[mean.loc[(n, band), "accuracy"] for band in bands] for n in numbers])
    share = np.array([[mean.loc[(n, band), "delta"] for band in bands] for n in numbers])
    size = (1.6 + 0.62 * len(bands), 1.3 + 0.32 * len(numbers))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(100 * grid, cmap=style.cmap, vmin=50, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(share):
        color = "white" if grid[row, column] > 0.8 else INK
        axes.annotate(
            f"{100 * value:.0f}",
            (column, row),
            ha="center",
            va="center",
            color=color,
            fontsize=style.small,
        )
    axes.set_xticks(range(len(bands)), bands)
    axes.set_yticks(range(len(numbers)), ["all" if n == 0 else f"{n}" for n in numbers])
    axes.set_xlabel("distance of query and key (tokens)")
    axes.set_ylabel("layer")
    figure.colorbar(image, label="accuracy (%)")
    return figure


@styled
def knockout_differences(knockout: pd.DataFrame, *, style: FigureStyle) -> Figure:
    """Draw the nats that removing a region of Δ costs the exposed model more than the unexposed
    one, beyond each control; a dot with its interval per stratum, a panel per size. Where there are
    several pairs, it is their mean, and each pair has a small dot.

    Args:
        knockout: see `engram.crossed.differences.difference_table`, led by `pair`.

    Raises:
        EngramError: a column is missing.
    """
    columns = ["pair", "stratum", "size", "control", "difference"]
    require(knockout, [*columns, "difference_low", "difference_high"], "crossed_knockout")
    knockout = knockout[knockout["pair"] != ALL_BASES]
    sizes, controls = sorted(knockout["size"].unique()), list(dict.fromkeys(knockout["control"]))
    strata = list(dict.fromkeys(knockout["stratum"]))
    figure = Figure(figsize=(1.9 + 1.9 * len(sizes), 0.9 + 0.5 * len(strata)), layout="constrained")
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    colors = dict(zip(controls, (INK, ACCENT, SOFT), strict=False))
    for axes, size in zip(panels, sizes, strict=True):
        light_grid(axes, "x")
        axes.axvline(0, color=SOFT, linewidth=0.8, linestyle=(0, (1, 2)))
        for c, control in enumerate(controls):
            mine = knockout[(knockout["size"] == size) & (knockout["control"] == control)]
            y = 0.7 * ((c + 0.5) / len(controls) - 0.5) + mine["stratum"].map(strata.index)
            shown = mine["pair"] == ALL_PAIRS
            if shown.any():
                axes.plot(mine["difference"][~shown], y[~shown], ".", color=SOFT, markersize=3)
            else:
                shown[:] = True
            ends = mine["difference_low"][shown], mine["difference_high"][shown]
            axes.hlines(y[shown], *ends, color=colors[control])
            axes.plot(
                mine["difference"][shown],
                y[shown],
                "o",
                color=colors[control],
                markersize=3,
                label=control,
            )
        axes.set_title(f"{100 * size:g} % of the cells")
    panels[0].set_yticks(range(len(strata)), [STRATUM_LABELS[name] for name in strata])
    panels[0].set_ylim(len(strata) - 0.5, -0.5)
    figure.supxlabel("nats, exposed − unexposed, region − control", fontsize=style.font_size)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def _panels_of_inputs(
    rows: pd.DataFrame, margin: float, style: FigureStyle
) -> tuple[Figure, list[tuple[Axes, int, pd.DataFrame]]]:
    """Return a figure with a panel per stratum and a row per input, and for each of these its axes,
    its height and its rows of a table of scores.

    Args:
        rows: input, trained_on, tested_on, accuracy_low; where there are scorers of all text, those
            are drawn.
        margin: height of the figure without rows, inches.
        style: of the figure.
    """
    scope = "all" if "all" in set(rows["trained_on"]) else rows["trained_on"].iloc[0]
    shown = rows[rows["trained_on"] == scope]
    strata = [name for name in STRATUM_LABELS if name in set(shown["tested_on"])]
    strata = [name for name in strata if name != "natural"]
    inputs = [name for name in INPUT_LABELS if name in set(shown["input"])]
    size = (2.0 + 1.45 * len(strata), margin + 0.42 * len(inputs))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(strata), sharey=True, squeeze=False)[0]
    cells = []
    for axes, stratum in zip(panels, strata, strict=True):
        light_grid(axes, "x")
        axes.axvline(50, color=SOFT, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.set_title(STRATUM_LABELS[stratum].replace(", ", ",\n"))
        axes.set_xlim(min(40, 100 * shown["accuracy_low"].min()) - 3, 102)
        of_stratum = shown[shown["tested_on"] == stratum]
        cells += [
            (axes, row, of_stratum[of_stratum["input"] == name]) for row, name in enumerate(inputs)
        ]
    panels[0].set_yticks(range(len(inputs)), [INPUT_LABELS[name] for name in inputs])
    panels[0].set_ylim(len(inputs) - 0.5, -0.5)
    figure.supxlabel("the exposed model is named correctly (%)", fontsize=style.font_size)
    return figure, cells


def _dots(axes: Axes, y: float, rows: pd.DataFrame) -> None:
    """Draw the accuracy of single pairs."""
    axes.plot(100 * rows["accuracy"], np.full(len(rows), y), "o", color=SOFT, markersize=2.5)


def _accuracy(axes: Axes, y: float, row: pd.Series, color: str, label: str | None = None) -> None:
    """Draw an accuracy with its interval."""
    axes.plot([100 * row["accuracy_low"], 100 * row["accuracy_high"]], [y, y], color=color, lw=1)
    axes.plot(100 * row["accuracy"], y, "o", color=color, markersize=4.5, label=label)


def _chance(axes: Axes, y: float, row: pd.Series) -> None:
    """Draw the 95 % quantile of redrawn arms."""
    axes.plot(100 * row["null_95"], y, "|", color=SOFT, markersize=8)

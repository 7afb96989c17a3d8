"""Which layers carry the localization: the share of Δ in each layer (paper, Figure 6, lower part)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from engram.errors import EngramError
from engram.figures.style import SOFT, FigureStyle, class_colors, light_grid, styled, text_width


def layer_shares(profile: np.ndarray) -> np.ndarray:
    """Share of a CNN's Δ that lies in each layer, (C, K, L), each row of L summing to 1; NaN for a CNN whose Δ is zero everywhere.

    Args:
        profile: sum of Δ per CNN, class and layer, (C, K, L).
    """
    totals = profile.sum(axis=-1, keepdims=True)  # (C, K, 1)
    return profile / np.where(totals > 0, totals, np.nan)  # (C, K, L)


@styled
def layer_profile(profile: np.ndarray, classes: Sequence[str], samples: Sequence[int], *, style: FigureStyle) -> Figure:
    """Share of Δ per layer for every class: the mean over CNNs as a line, their least and greatest value as a band.

    A CNN whose Δ of a class is zero everywhere has no shares and is left out; the legend counts the others.

    Args:
        profile: sum of Δ per CNN, class and layer, (C, K, L).
        classes: the K class names.
        samples: number of samples behind Δ per class, (K,).

    Raises:
        EngramError: the shapes do not fit.
    """
    if profile.ndim != 3 or profile.shape[1] != len(classes) or len(samples) != len(classes) or not profile.size:
        raise EngramError(f"figure layer_profile: profile of shape {profile.shape} and {len(samples)} counts for {len(classes)} classes")
    shares = 100 * layer_shares(profile)  # (C, K, L)
    layers = np.arange(1, shares.shape[-1] + 1)
    figure = Figure(figsize=(min(7.2, 3.9 + 0.1 * len(layers)), 2.9), layout="constrained")
    axes = figure.subplots()
    light_grid(axes, "y")
    marks = "o" if len(layers) <= 16 else ""
    for index, (name, color, n) in enumerate(zip(classes, class_colors(classes, style), samples, strict=True)):
        live = shares[~np.isnan(shares[:, index, 0]), index]  # (live CNNs, L)
        label = f"{name}  (n = {n:,}, {len(live)} of {len(profile)} CNNs)"
        if not len(live):
            axes.plot([], [], color=color, label=label)
            continue
        axes.fill_between(layers, live.min(axis=0), live.max(axis=0), color=color, alpha=0.16, linewidth=0)
        axes.plot(layers, live.mean(axis=0), marker=marks, markersize=3.5, color=color, label=label)
    axes.axhline(100 / len(layers), color=SOFT, linewidth=0.7, linestyle=(0, (2, 2)))
    axes.annotate(
        "equal\nshares", (1, 100 / len(layers)), (3, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
        color=SOFT, fontsize=style.small, linespacing=1,
    )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, steps=[1, 2, 4, 5, 10]))
    axes.set_xlim(1 - 0.02 * len(layers), len(layers) * 1.02)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("layer")
    axes.set_ylabel("share of Δ (%)")
    handles, labels = axes.get_legend_handles_labels()
    # A line's sample takes about half an inch beside its text.
    room = figure.get_figwidth() // (0.55 + text_width(labels, style.font_size - 1))
    figure.legend(handles, labels, loc="outside upper left", ncols=max(1, int(room)))
    return figure

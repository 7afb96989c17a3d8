"""Draw the figures of README.md and the documentation from the results, for light and dark pages.

    PYTHONPATH=workflow python docs/pictures/plots.py                   # from docs/results
    PYTHONPATH=workflow python docs/pictures/plots.py results/classes   # also Δ

Every SVG file ends with the digest of the table that it was drawn from, so that a test finds
figures that are out of date.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results"
NEW = "Non-Memo, Guess, Others"
SLUG = "non-memo_guess_others"
SHOWN = {"Non-Memo": "Non-Memo", "Guess": "Guess", "Others": "Others (recall)"}

THEMES: dict[str, dict[str, str]] = {
    "light": {
        "ink": "#1f2328",
        "soft": "#59636e",
        "faint": "#d8dee4",
        "accent": "#a0336b",
        "Non-Memo": "#6b6b6b",
        "Guess": "#d18f00",
        "Others": "#453899",
    },
    "dark": {
        "ink": "#e6edf3",
        "soft": "#a0a9b4",
        "faint": "#3d444d",
        "accent": "#f08cbb",
        "Non-Memo": "#a8b0b9",
        "Guess": "#f0b33a",
        "Others": "#b3aaf2",
    },
}
SHADES = {
    "light": (
        "#ffffff",
        "#e3ecf4",
        "#b5d0e6",
        "#7eb0d5",
        "#4a87ba",
        "#355f98",
        "#2b3a73",
        "#1b1b45",
    ),
    "dark": (
        "#14181f",
        "#1d2c40",
        "#234a70",
        "#2f6f9f",
        "#4f9ac0",
        "#84c1d6",
        "#bfe2e6",
        "#f4fbf4",
    ),
}
"""Colours of Δ from zero (the page) to the maximum."""


@contextmanager
def themed(mode: str) -> Iterator[dict[str, str]]:
    """Set matplotlib's colours and fonts for a page of this mode; yield the theme."""
    theme = THEMES[mode]
    settings = {
        "font.family": "DejaVu Sans",
        "font.size": 9.5,
        "text.color": theme["ink"],
        "axes.labelcolor": theme["ink"],
        "axes.edgecolor": theme["soft"],
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.color": theme["soft"],
        "ytick.color": theme["soft"],
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": theme["faint"],
        "grid.linewidth": 0.7,
        "legend.frameon": False,
        "svg.hashsalt": "engram",
    }
    with matplotlib.rc_context(settings):
        yield theme


def table(name: str) -> pd.DataFrame:
    """Return a table of docs/results, `classes/scores` for example."""
    return pd.read_csv(RESULTS / f"{name}.csv")


def scores(axes: Axes, theme: dict[str, str]) -> None:
    """Plot balanced accuracy of attention, baselines and control, for the new taxonomy."""
    rows = table("classes/scores").query("taxonomy == @NEW")
    names = {
        ("attention", "real"): "attention",
        ("token_identity", "real"): "token identity (text alone)",
        ("hidden_states", "real"): "hidden states",
        ("attention", "shuffled"): "attention, shuffled labels",
        ("random_weights", "real"): "attention of permuted weights",
    }
    for y, ((source, labels), name) in enumerate(reversed(names.items())):
        row = rows.query("input == @source and labels == @labels").iloc[0]
        color = theme["ink"] if name == "attention" else theme["soft"]
        value, low, high = row[[f"balanced_accuracy{end}" for end in ("", "_low", "_high")]] * 100
        axes.plot([low, high], [y, y], color=color, lw=2, solid_capstyle="round")
        filled = labels == "real" and source != "random_weights"
        axes.plot(
            value, y, "o", ms=7, color=color, mfc=color if filled else "none", mew=1.6, zorder=3
        )
        axes.annotate(f"{value:.1f}", (value, y), (0, 8), textcoords="offset points", ha="center")
    axes.axvline(100 / 3, color=theme["soft"], ls=":", lw=1.2)
    axes.annotate("chance", (100 / 3, len(names) - 0.45), (4, 0), textcoords="offset points")
    axes.set_yticks(range(len(names)), list(reversed(names.values())), color=theme["ink"])
    axes.set(xlim=(25, 85), ylim=(-0.5, len(names) - 0.35), xlabel="balanced accuracy, %")
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def exposures(axes: Axes, theme: dict[str, str]) -> None:
    """Plot the share of natural windows that are extracted against exposures."""
    rows = table("classes/exposures").query("text == 'natural' and exposures > 0")
    for column, name, color in (
        ("extracted", "drilled model", theme["Others"]),
        ("twin", "twin, which saw none of them", theme["soft"]),
    ):
        share = rows[column] / rows["n"]
        z = 1.96  # Wilson intervals
        center = (share + z**2 / (2 * rows["n"])) / (1 + z**2 / rows["n"])
        half = (
            z
            / (1 + z**2 / rows["n"])
            * np.sqrt(share * (1 - share) / rows["n"] + z**2 / (4 * rows["n"] ** 2))
        )
        axes.vlines(rows["exposures"], 100 * (center - half), 100 * (center + half), color, lw=1.6)
        axes.plot(
            rows["exposures"],
            100 * share,
            "o-",
            color=color,
            lw=1.6,
            ms=5.5,
            label=name,
            clip_on=False,
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(rows["exposures"], rows["exposures"])
    axes.minorticks_off()
    axes.set(ylim=(-2, 104), xlabel="exposures in drilling", ylabel="windows extracted, %")
    axes.legend(loc="center left", bbox_to_anchor=(0.0, 0.72), handlelength=1.2)


def delta_layers(axes: Axes, theme: dict[str, str]) -> None:
    """Plot the share of Δ in each layer, for every class."""
    rows = table("classes/delta_layers").query("taxonomy == @SLUG and method == 'guided'")
    for shift, name in zip((-0.09, 0, 0.09), SHOWN, strict=True):
        part = rows[rows["class"] == name]
        at = part["layer"] + shift
        axes.vlines(at, 100 * part["low"], 100 * part["high"], theme[name], lw=2)
        label = f"{SHOWN[name]}, n = {part['n'].iloc[0]}"
        axes.plot(at, 100 * part["share"], "o-", color=theme[name], lw=1.4, ms=6, label=label)
    axes.set_xticks(sorted(rows["layer"].unique()))
    axes.set(ylim=(0, 80), xlabel="layer", ylabel="share of the class's Δ, %")
    axes.legend(loc="upper left", handlelength=1.2)


def dissociation(axes: Axes, theme: dict[str, str]) -> None:
    """Plot what removing the region of Guess or of Others (0.3 % of cells) costs either class."""
    rows = table("classes/double_dissociation").query("size == 0.003 and measure == 'extracted'")
    pair = ("Guess", "Others")
    for x, region in enumerate(pair):
        against = pair[1 - x]
        row = rows.query("region == @region and against == @against").iloc[0]
        for kind, name in (("own", region), ("other", against)):
            at = x + (-0.2 if name == "Guess" else 0.2)
            value, low, high = (100 * row[f"{kind}{end}"] for end in ("", "_low", "_high"))
            axes.bar(at, value, 0.34, color=theme[name], alpha=0.9, zorder=2)
            axes.vlines(at, low, high, theme["ink"], lw=1.6, zorder=3)
    for name in pair:
        axes.bar([0], [0], color=theme[name], label=f"{SHOWN[name]}, n = 40")
    axes.set_xticks((0, 1), ("region of Guess\nremoved", "region of Others\nremoved"))
    axes.tick_params(axis="x", colors=theme["ink"], length=0)
    axes.set(ylim=(0, 100), ylabel="extraction lost, points")
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper left", handlelength=1.0)


def crossed(
    axes: Axes, theme: dict[str, str], study: str = "demo", second: str = "templates"
) -> None:
    """Plot how often the exposed model of a crossed pair is named, by input, on natural windows and
    on a second kind of text."""
    rows = table(f"{study}/scores").query(
        "pair == 'all pairs' and selection == 'assigned' and dose == 0 and trained_on == 'all'"
    )
    names = {
        "suffix_log_prob": "log-probability of the suffix",
        "hidden_states": "hidden states",
        "feed_forward": "feed-forward outputs",
        "cnn_attention_mean": "attention, mean over heads (CNN)",
        "attention_mean": "attention, mean over heads",
        "attention_max": "attention, max over heads",
    }
    kinds = {"natural": ("Others", 0.13), second: ("Guess", -0.13)}
    for y, source in enumerate(reversed(names)):
        for kind, (color, shift) in kinds.items():
            row = rows[(rows["input"] == source) & (rows["tested_on"] == kind)].iloc[0]
            value, low, high = row[[f"accuracy{end}" for end in ("", "_low", "_high")]] * 100
            color = theme[color]
            axes.plot([low, high], [y + shift] * 2, color=color, lw=2, solid_capstyle="round")
            label = f"{kind}, n = {row['windows']}" if not y else None
            axes.plot(value, y + shift, "o", ms=6.5, color=color, zorder=3, label=label)
            null = 100 * row["null_95"]
            axes.plot([null] * 2, [y + shift - 0.1, y + shift + 0.1], color=theme["soft"], lw=1.6)
    axes.axvline(50, color=theme["soft"], ls=":", lw=1.2)
    axes.set_yticks(range(len(names)), list(reversed(names.values())), color=theme["ink"])
    axes.set(xlim=(45, 102), ylim=(-0.5, len(names) - 0.4))
    axes.set_xlabel("held-out windows on which the exposed model is named, %")
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, handlelength=1.0)


def steering(axes: Axes, theme: dict[str, str]) -> None:
    """Plot the share of each class that is still extracted over the step α, in both models."""
    rows = table("mechanisms/steering")
    colors = {"Recalled": "Others", "Drilled": "accent", "Guessed": "Guess"}
    for name, color in colors.items():
        of_class = rows[rows["class"] == name].sort_values("alpha")
        for model, marker in zip(of_class["model"].unique(), "os", strict=True):
            part = of_class[of_class["model"] == model]
            probe, random = (part[part["direction"] == kind] for kind in ("probe", "random"))
            alpha = probe["alpha"]
            low, high = 100 * probe["extracted_low"], 100 * probe["extracted_high"]
            axes.fill_between(alpha, low, high, color=theme[color], alpha=0.12, lw=0)
            label = f"{name}, {model} model, n = {probe['n'].iloc[0]}"
            style = {"color": theme[color], "lw": 1.6, "ms": 5}
            axes.plot(alpha, 100 * probe["extracted"], f"{marker}-", label=label, **style)
            axes.plot(random["alpha"], 100 * random["extracted"], "--", color=theme[color], lw=1)
    axes.axvline(0, color=theme["soft"], lw=0.8)
    axes.plot([], [], "--", color=theme["soft"], lw=1, label="random directions")
    axes.set(ylim=(-2, 104), xlabel="step α, away from recall →", ylabel="still extracted, %")
    axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")


def attack(axes: Axes, theme: dict[str, str]) -> None:
    """Plot the share of texts that come back over the attack's steps, with the heads removed."""
    rows = table("mechanisms/attack_curves").query("state == 'heads removed'")
    for texts, color in (("recalled", "Others"), ("never seen", "soft")):
        of_texts = rows[rows["texts"] == texts]
        for model, line in zip(of_texts["model"].unique(), ("-", "--"), strict=True):
            part = of_texts[of_texts["model"] == model]
            low, high = 100 * part["recovered_low"], 100 * part["recovered_high"]
            axes.fill_between(part["step"], low, high, color=theme[color], alpha=0.14, lw=0)
            label = f"{texts}, {model} model, n = {part['n'].iloc[0]}"
            axes.plot(part["step"], 100 * part["recovered"], line, color=theme[color], label=label)
    axes.set(ylim=(-2, 104), xlabel="steps of the attack", ylabel="texts that come back, %")
    axes.legend(loc="lower right", handlelength=1.6)


PLOTS: dict[str, tuple[Callable[[Axes, dict[str, str]], None], str, tuple[float, float]]] = {
    "crossed": (crossed, "demo/scores", (7.2, 3.9)),
    "real-model": (
        partial(crossed, study="smollm2-crossed", second="guessed"),
        "smollm2-crossed/scores",
        (7.2, 3.9),
    ),
    "steering": (steering, "mechanisms/steering", (7.2, 3.0)),
    "attack": (attack, "mechanisms/attack_curves", (5.6, 3.0)),
    "scores": (scores, "classes/scores", (7.2, 2.7)),
    "exposures": (exposures, "classes/exposures", (5.6, 3.0)),
    "delta-layers": (delta_layers, "classes/delta_layers", (5.6, 3.0)),
    "dissociation": (dissociation, "classes/double_dissociation", (5.6, 3.2)),
}
"""Name of the figure: how it is drawn, from which table, width and height in inches."""


def digest(name: str) -> str:
    """Return the comment that names a table and the digest of its content."""
    content = hashlib.sha256((RESULTS / f"{name}.csv").read_bytes()).hexdigest()[:16]
    return f"<!-- from docs/results/{name}.csv {content} -->"


def delta_maps(study: Path, mode: str) -> Figure:
    """Draw Δ of every class (rows) and layer (columns), each layer on its own scale."""
    from engram.io.packing import unpack
    from engram.saliency.file import read_saliency

    saliency = read_saliency(study / f"nursery/engram/saliency/{SLUG}.h5", "guided")
    greatest = saliency.delta.max(axis=(0, 2))  # (L,)
    maps = unpack(saliency.delta / greatest[None, :, None], fill=np.nan)  # (K, L, T, T)
    classes, layers, tokens = maps.shape[:3]
    colors = LinearSegmentedColormap.from_list("engram", SHADES[mode])
    theme = THEMES[mode]
    figure = Figure(figsize=(8.6, 6.4))
    grid = figure.subplots(
        classes,
        layers,
        gridspec_kw={
            "left": 0.14,
            "right": 0.99,
            "top": 0.93,
            "bottom": 0.075,
            "wspace": 0.05,
            "hspace": 0.06,
        },
    )
    for k, row in enumerate(grid):
        name, color = saliency.classes[k], theme[saliency.classes[k]]
        for layer, axes in enumerate(row):
            axes.grid(visible=False)
            axes.imshow(
                maps[k, layer], cmap=colors, norm=PowerNorm(0.5, 0, 1), interpolation="nearest"
            )
            axes.plot(
                [-0.5, -0.5, tokens - 0.5, -0.5],
                [-0.5, tokens - 0.5, tokens - 0.5, -0.5],
                color=theme["soft"],
                lw=0.8,
            )
            middle = saliency.prefix - 0.5
            axes.plot(
                [-0.5, middle, middle],
                [middle, middle, tokens - 0.5],
                "--",
                color=theme["soft"],
                lw=0.8,
            )
            axes.set(xticks=[], yticks=[], xlim=(-1, tokens), ylim=(tokens, -1))
            for spine in axes.spines.values():
                spine.set_visible(False)
            if k == 0:
                axes.set_title(
                    f"layer {layer + 1}", fontsize=11, fontweight="bold", color=theme["ink"]
                )
        row[0].text(
            -0.09,
            0.56,
            SHOWN[name].replace(" (", "\n("),
            transform=row[0].transAxes,
            ha="right",
            va="center",
            fontsize=11.5,
            fontweight="bold",
            color=color,
        )
        row[0].text(
            -0.09,
            0.36,
            f"n = {saliency.n[k]}",
            transform=row[0].transAxes,
            ha="right",
            va="center",
            fontsize=9.5,
            color=theme["soft"],
        )
    corner = grid[-1, 0]
    corner.set_xlabel("prefix         suffix", color=theme["soft"], fontsize=9)
    return figure


def main(study: Path | None) -> None:
    """Write all figures; those of Δ only where a finished study is given."""
    for mode in THEMES:
        with themed(mode) as theme:
            for name, (draw, source, size) in PLOTS.items():
                figure = Figure(figsize=size, layout="constrained")
                draw(figure.subplots(), theme)
                path = HERE / f"{name}-{mode}.svg"
                figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
                with path.open("a", encoding="utf-8") as file:
                    file.write(f"{digest(source)}\n")
            if study is not None:
                delta_maps(study, mode).savefig(
                    HERE / f"delta-maps-{mode}.png",
                    transparent=True,
                    dpi=200,
                    metadata={"Software": None},
                )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)

"""Small data for every figure, with the longest names that occur, and a search for texts that
overlap.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from engram.figures.attention import attention_examples
from engram.figures.checks import saliency_checks
from engram.figures.confusion import confusion_matrices
from engram.figures.delta import delta_maps
from engram.figures.exposures import memorization_vs_exposures
from engram.figures.flow import taxonomy_flow
from engram.figures.headline import METRICS, headline
from engram.figures.peaks import delta_peaks
from engram.figures.profile import layer_profile
from engram.figures.style import FigureStyle
from engram.figures.training import nursery_training, training_curves

CLASSES = ["Non-Memo", "Reconstruct-or-Recollect[50]", "Guess[0.5-0.5]", "Code", "Others"]
TOKENS, PREFIX = 8, 4
PACKED = TOKENS * (TOKENS + 1) // 2


@pytest.fixture
def style() -> FigureStyle:
    return FigureStyle()


@pytest.fixture
def windows() -> pd.DataFrame:
    """30 windows per exposure count and kind; a window's index decides whether it is extracted."""
    rows = [
        {
            "exposures": exposures,
            "kind": kind,
            "extracted": index < exposures // 4,
            "twin_extracted": kind != "natural" and index < 20,
        }
        for exposures in (0, 8, 32, 48, 64, 96, 128)
        for kind in ("natural", "counter")
        for index in range(30)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def history() -> pd.DataFrame:
    """Three CNNs over four epochs; the second is reported."""
    rows = [
        (*run, f"k{cnn}", 0, epoch, split, 1.2 / epoch + 0.02 * cnn, 1 - 0.6 / epoch, epoch == 2)
        for run in (("attention", "real"), ("attention", "shuffled"), ("token_identity", "real"))
        for cnn in range(3)
        for epoch in range(1, 5)
        for split in ("train", "validation")
    ]
    return pd.DataFrame(
        rows,
        columns=[
            "input",
            "labels",
            "cnn",
            "seed",
            "epoch",
            "split",
            "loss",
            "accuracy",
            "selected",
        ],
    )


@pytest.fixture
def scores() -> pd.DataFrame:
    """Three taxonomies, worst first, in two models."""
    rows = []
    for model in ("pythia-12b-deduped-v0", "nursery"):
        for taxonomy, value in (
            ("Non-Memo, Recite[1k], Code, Others", 0.5),
            ("Non-Memo, Reconstruct-or-Recollect[50], Others", 0.7),
            ("Non-Memo, Guess, Others", 0.9),
        ):
            for source, labels, share in (
                ("attention", "real", 1),
                ("attention", "shuffled", 0.3),
                ("token_identity", "real", 0.6),
            ):
                row = {
                    "model": model,
                    "protocol": "engram",
                    "taxonomy": taxonomy,
                    "input": source,
                    "labels": labels,
                    "n": 240,
                }
                for metric in METRICS:
                    row |= {
                        metric: share * value,
                        f"{metric}_low": share * value - 0.03,
                        f"{metric}_high": share * value + 0.03,
                    }
                rows.append(row)
    return pd.DataFrame(rows)


@pytest.fixture
def flows() -> pd.DataFrame:
    """Memorized samples in two taxonomies; several classes hold a few samples only."""
    pairs = [
        ("Recite[5]", "Others", 600),
        ("Recite[5]", "Guess", 200),
        ("Reconstruct", "Guess", 3),
        ("Recollect[5]", "Others", 150),
    ]
    pairs += [
        ("Code", "Code", 2),
        ("Code", "Reconstruct-or-Recollect[50]", 4),
        ("Others", "Others", 41),
    ]
    return pd.DataFrame(
        [(old, new) for old, new, count in pairs for _ in range(count)], columns=["old", "new"]
    )


@pytest.fixture
def shares_of_layers() -> Callable[[list[str], int], pd.DataFrame]:
    """Shares of Δ by class and layer, with intervals."""

    def make(classes: list[str], layers: int) -> pd.DataFrame:
        shares = np.random.default_rng(1).dirichlet(np.ones(layers), len(classes))
        rows = [
            {
                "class": name,
                "layer": layer + 1,
                "share": share,
                "low": 0.9 * share,
                "high": 1.2 * share,
                "attention": 1 / layers,
                "n": 200,
            }
            for name, of_class in zip(classes, shares, strict=True)
            for layer, share in enumerate(of_class)
        ]
        return pd.DataFrame(rows)

    return make


@pytest.fixture
def check_tables() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Randomization, agreement and deletion of four methods."""
    random = np.random.default_rng(2)
    methods = ["guided", "gradient", "integrated_gradients", "gradcam"]

    def correlations(against: list[str]) -> pd.DataFrame:
        rows = [
            (method, "evidence", name, "all", "all", random.random())
            for method in methods
            for name in against
        ]
        frame = pd.DataFrame(rows, columns=["method", "map", "against", "class", "layer", "rho"])
        return frame.assign(low=frame["rho"] - 0.1, high=frame["rho"] + 0.1)

    cells = [
        (name, mode, share)
        for name in (*methods, "random", "attention", "shuffled labels")
        for mode in ("deletion", "insertion")
        for share in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
    ]
    deletion = pd.DataFrame([*cells, ("none", "deletion", 0.0)], columns=["cells", "mode", "share"])
    deletion = deletion.assign(**{"class": "all", "probability": random.random(len(deletion))})
    deletion = deletion.assign(
        low=deletion["probability"] - 0.05, high=deletion["probability"] + 0.05
    )
    randomization = correlations(
        ["fc2", "fc2 to fc1", "fc2 to conv2", "fc2 to conv1", "shuffled labels", "attention"]
    )
    return randomization, correlations(["architecture", "architecture (untrained)"]), deletion


@pytest.fixture
def draw(
    windows: pd.DataFrame,
    history: pd.DataFrame,
    scores: pd.DataFrame,
    flows: pd.DataFrame,
    shares_of_layers: Callable[[list[str], int], pd.DataFrame],
    check_tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
) -> dict[str, Callable[[FigureStyle], Figure]]:
    """Every figure by its caption's name."""
    generator = np.random.default_rng(5)
    counts = generator.integers(0, 100_000, (5, 5))
    maps = generator.random((5, 14, PACKED))
    curve = pd.DataFrame({"tokens": np.arange(1, 9) * 4096, "loss": 8 / np.arange(1, 9)})
    texts = ["plain", "tab\tline\nend", "cost $x_1$ and $y$", "中文 \x00", "long " * 200]
    return {
        "confusion": lambda style: confusion_matrices(
            {"pythia-12b-deduped-v0": {"attention": counts, "shuffled labels": counts.T}},
            CLASSES,
            style=style,
        ),
        "memorization_vs_exposures": lambda style: memorization_vs_exposures(windows, style=style),
        "taxonomy_flow": lambda style: taxonomy_flow(
            flows,
            ["Recite[5]", "Reconstruct", "Code", "Recollect[5]", "Others"],
            ["Guess", "Code", "Reconstruct-or-Recollect[50]", "Others"],
            (
                "Non-Memo, Recite[5], Reconstruct, Code, Recollect[5], Others",
                "Non-Memo, Guess, Code, Others",
            ),
            style=style,
        ),
        "training_curves": lambda style: training_curves(history, style=style),
        "nursery_training": lambda style: nursery_training(
            {"base": curve, "drilling": curve}, style=style
        ),
        "attention_examples": lambda style: attention_examples(
            maps, CLASSES, texts, PREFIX, style=style
        ),
        "delta_maps": lambda style: delta_maps(maps, CLASSES, [200] * 5, PREFIX, style=style),
        "delta_peaks": lambda style: delta_peaks(
            maps,
            shares_of_layers(CLASSES, 14).rename(columns={"share": "level"}),
            CLASSES,
            PREFIX,
            style=style,
        ),
        "layer_profile": lambda style: layer_profile(
            shares_of_layers(CLASSES, 36), CLASSES, style=style
        ),
        "saliency_checks": lambda style: saliency_checks(
            *check_tables, ["guided", "gradient", "integrated_gradients", "gradcam"], style=style
        ),
        "headline": lambda style: headline(scores, style=style),
    }


@pytest.fixture
def overlapping() -> Callable[[Figure], list[tuple[str, str]]]:
    """Pairs of a figure's texts whose boxes overlap by more than a pixel either way."""

    def find(figure: Figure) -> list[tuple[str, str]]:
        figure.draw_without_rendering()
        hidden = {
            label
            for axes in figure.axes
            if not axes.axison
            for label in (*axes.get_xticklabels(), *axes.get_yticklabels())
        }
        texts = [
            text
            for text in figure.findobj(Text)
            if text.get_visible() and text.get_text().strip() and text not in hidden
        ]
        boxes = [text.get_window_extent().padded(-1) for text in texts]
        pairs = [(i, j) for i in range(len(texts)) for j in range(i) if boxes[i].overlaps(boxes[j])]
        return [(texts[i].get_text(), texts[j].get_text()) for i, j in pairs]

    return find

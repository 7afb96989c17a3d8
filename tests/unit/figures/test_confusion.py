"""Confusion matrices: what stands in the cells."""

import re

import numpy as np
import pytest

from engram.figures.confusion import confusion_matrices
from engram.io.errors import EngramError

NAMES = ["Non-Memo", "Recite[5]-or-Guess", "Reconstruct", "Code", "Others"]


def cells(axes) -> tuple[list[str], list[str]]:
    """Percentages and counts in the order of the cells."""
    texts = [text.get_text() for text in axes.texts]
    return [t for t in texts if t.endswith("%")], [t for t in texts if re.fullmatch(r"[\d,]+", t)]


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_cells_hold_row_percentages_and_counts(k, style):
    counts = np.random.default_rng(k).integers(1, 9000, (k, k))
    axes = confusion_matrices({"nursery": {"attention": counts}}, NAMES[:k], style=style).axes[0]
    expected = [f"{100 * counts[i, j] / sum(counts[i]):.1f} %" for i in range(k) for j in range(k)]
    assert cells(axes) == (expected, [f"{n:,}" for n in counts.ravel()])


def test_panels_are_models_by_runs_with_their_totals(style):
    panels = {
        model: {run: np.full((2, 2), 10 * i + j) for j, run in enumerate(("a", "b"), 1)}
        for i, model in enumerate(("m", "n"))
    }
    figure = confusion_matrices(panels, NAMES[:2], style=style)
    totals = [
        re.search(r"\d+(?= predictions)", " ".join(t.get_text() for t in axes.texts)).group()
        for axes in figure.axes
    ]
    assert totals == ["4", "8", "44", "48"]
    assert [axes.get_title().split() for axes in figure.axes] == [
        ["m", "a"],
        ["m", "b"],
        ["n", "a"],
        ["n", "b"],
    ]


def test_a_class_without_samples_is_zero_percent(style):
    axes = confusion_matrices(
        {"m": {"a": np.array([[0, 0], [1, 3]])}}, NAMES[:2], style=style
    ).axes[0]
    assert cells(axes)[0] == ["0.0 %", "0.0 %", "25.0 %", "75.0 %"]


@pytest.mark.parametrize(
    ("panels", "message"),
    [
        ({}, "no predictions"),
        ({"m": {}}, "no predictions"),
        ({"m": {"a": np.eye(3)}}, r"m, a: counts of shape \(3, 3\) for 2 classes"),
        ({"m": {"a": np.eye(2)}, "n": {"b": np.eye(2)}}, "n has the runs b"),
    ],
)
def test_what_cannot_be_drawn_is_named(panels, message, style):
    with pytest.raises(EngramError, match=message):
        confusion_matrices(panels, NAMES[:2], style=style)

"""The figure of the matched comparison."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from engram.figures.matched import VERDICT_COLORS, matched_comparison
from engram.figures.style import FigureStyle
from engram.io.errors import EngramError

STYLE = FigureStyle()


def table(scored: bool = True) -> pd.DataFrame:
    """Rows of two models; with `scored` false, of too few samples for scores."""
    verdicts = itertools.cycle(VERDICT_COLORS)
    rows = []
    for model, matching, name, score in itertools.product(
        ("a", "b"),
        ("none", "suffix_log_prob", "all"),
        ("attention", "hidden_states", "predictability"),
        ("balanced_accuracy", "auroc"),
    ):
        row = {"model": model, "taxonomy": "t", "first": "Guess", "second": "Others", "bound": 0.05}
        row |= {"matching": matching, "input": name, "score": score, "n": 1200}
        row |= {"rival": "predictability", "verdict": np.nan}
        row |= dict.fromkeys(["value", "value_low", "value_high"], np.nan)
        row |= dict.fromkeys(["difference", "narrow_low", "narrow_high"], np.nan)
        if scored:
            row |= {"value": 0.6, "value_low": 0.5, "value_high": 0.7}
        if scored and name != "predictability":
            row |= {"difference": 0.1, "narrow_low": 0.0, "narrow_high": 0.2}
            row |= {"verdict": next(verdicts)}
        rows.append(row)
    return pd.DataFrame(rows)


def test_every_model_has_two_panels_and_every_input_a_row() -> None:
    figure = matched_comparison(table(), style=STYLE)
    assert len(figure.axes) == 4
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["attention", "hidden states", "predictability"]
    title = figure.axes[2].get_title(loc="left")
    assert title == "Guess or Others · b · n = 1,200, matched 1,200"
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["all", "matched", *VERDICT_COLORS]
    assert "minus predictability" in figure.axes[3].get_xlabel()


def test_differences_have_the_colour_of_their_verdict() -> None:
    own = table()
    own["verdict"] = own["verdict"].where(own["verdict"].isna(), "equivalent")
    figure = matched_comparison(own, style=STYLE)
    dots = [line for line in figure.axes[1].lines if len(line.get_xdata()) == 1]
    assert len(dots) == 2  # the rival has no difference to itself
    assert {dot.get_color() for dot in dots} == {VERDICT_COLORS["equivalent"]}


def test_too_few_samples_leave_the_panels_empty() -> None:
    figure = matched_comparison(table(scored=False), style=STYLE)
    assert len(figure.axes) == 4


def test_a_missing_column_is_named() -> None:
    with pytest.raises(EngramError, match="matched_comparison: column verdict is missing"):
        matched_comparison(table().drop(columns="verdict"), style=STYLE)

"""Figures of crossed exposures."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest

from engram.figures import crossed
from engram.figures.inside import inside_differences
from engram.figures.style import FigureStyle
from engram.io.errors import EngramError

STYLE = FigureStyle()


def scores() -> pd.DataFrame:
    rows = [
        {"pair": pair, "input": name, "trained_on": "all", "tested_on": tested, "dose": 0}
        | {"selection": "assigned", "accuracy": 0.7, "accuracy_low": 0.6, "accuracy_high": 0.8}
        | {"null_95": 0.57}
        for pair, name, tested in itertools.product(
            ("one", "two", "all pairs", "all bases"),
            ("attention_mean", "hidden_states"),
            ("low", "templates", "all"),
        )
    ]
    return pd.DataFrame(rows)


def test_scores_have_a_panel_per_stratum_and_a_row_per_input() -> None:
    figure = crossed.paired_scores(scores(), style=STYLE)
    panels = figure.axes
    assert [axes.get_title() for axes in panels] == ["natural,\nlow overlap", "templates", "all"]
    labels = [text.get_text() for text in panels[0].get_yticklabels()]
    assert labels == ["attention, mean over heads", "hidden states"]


def test_transfer_has_a_mean_per_kind_of_base() -> None:
    rows = [
        {"bases": bases, "trained_in": pair, "input": "attention_mean", "trained_on": "all"}
        | {"tested_on": tested, "accuracy": 0.7, "accuracy_low": 0.6, "accuracy_high": 0.8}
        | {"null_95": 0.57}
        for bases, pair, tested in itertools.product(
            ("same base", "other base"), ("all pairs", "one"), ("low", "all")
        )
    ]
    figure = crossed.transferred_scores(pd.DataFrame(rows), style=STYLE)
    assert [axes.get_title() for axes in figure.axes] == ["natural,\nlow overlap", "all"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["pairs of the same base", "pairs of other bases"]


def test_effects_show_both_models_at_every_dose() -> None:
    rows = [
        {"pair": "one", "split": "all", "stratum": stratum, "dose": dose, "base": 0.0}
        | {"exposed": 0.8, "exposed_low": 0.7, "exposed_high": 0.9}
        | {"unexposed": 0.1, "unexposed_low": 0.05, "unexposed_high": 0.2}
        for stratum in ("low", "templates")
        for dose in (0, 8, 40)
    ]
    figure = crossed.exposure_effects(pd.DataFrame(rows), style=STYLE)
    ticks = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert ticks == ["8", "40"] and len(figure.axes) == 2


def test_layers_show_the_share_of_delta() -> None:
    rows = [
        {"pair": pair, "layer": layer, "band": band, "delta": 0.25, "accuracy": 0.6}
        for pair in ("one", "two")
        for layer in (0, 1, 2)
        for band in ("all", "0-0", "1-3")
    ]
    figure = crossed.layer_map(pd.DataFrame(rows), style=STYLE)
    notes = [text.get_text() for text in figure.axes[0].texts]
    assert notes == ["25"] * 9


def test_knockouts_have_a_panel_per_size() -> None:
    rows = [
        {"pair": "one", "stratum": stratum, "size": size, "control": control}
        | {"difference": 1.0, "difference_low": 0.5, "difference_high": 1.5}
        for stratum in ("all", "low")
        for size in (0.01, 0.05)
        for control in ("cells", "mass", "redrawn")
    ]
    figure = crossed.knockout_differences(pd.DataFrame(rows), style=STYLE)
    assert [axes.get_title() for axes in figure.axes] == ["1 % of the cells", "5 % of the cells"]


def test_a_missing_column_is_named() -> None:
    with pytest.raises(EngramError, match="null_95"):
        crossed.paired_scores(scores().drop(columns="null_95"), style=STYLE)


def test_differences_inside_have_a_panel_per_measure() -> None:
    rows = [
        {"pair": pair, "measure": measure, "value": value, "alpha": alpha, "depth": depth}
        | {"stratum": stratum, "difference": -0.2, "difference_low": -0.3, "difference_high": -0.1}
        | {"standardized": -0.4}
        for pair, stratum in itertools.product(("all pairs", "one", "two"), ("natural", "all"))
        for measure, value, alpha, depth in (
            *(("entropy", "entropy", None, depth) for depth in (0.0, 1.0)),
            ("remind", "loss", None, None),
            ("rival", "min_k", None, None),
            ("noise", "fall", 0.1, None),
            *(("noise", "recovery", 0.1, depth) for depth in (0.0, 1.0)),
        )
    ]
    figure = inside_differences(pd.DataFrame(rows), style=STYLE)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["entropy of representations", "noise", "REMIND and its rivals"]
    labels = [text.get_text() for text in figure.axes[2].get_yticklabels()]
    assert labels == ["loss", "min k"]
    # Ends in the unit of the axis: standard deviations.
    (ends,) = (line.get_segments() for line in figure.axes[2].collections)
    assert ends[0][:, 0].tolist() == pytest.approx([-0.6, -0.2])
    with pytest.raises(EngramError, match="crossed_mechanisms"):
        inside_differences(pd.DataFrame(rows).drop(columns="standardized"), style=STYLE)

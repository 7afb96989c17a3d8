"""Rates against size: points, intervals and lines are the tables'."""

import numpy as np
import pandas as pd
import pytest

from engram.figures.series import rates_against_size, score_distributions, short_number
from engram.io.errors import EngramError

SIZES = (70_000, 1_000_000, 12_000_000_000)


def rates() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                **{"taxonomy": taxonomy, "measure": measure, "family": family, "n": 600},
                **{"model": f"{family}{size}", "parameters": size, "rate": 0.05 * (2 + place)},
                **{"rate_low": 0.04 * (2 + place), "rate_high": 0.07 * (2 + place)},
            }
            for taxonomy, measure in (("", "full"), ("", "none"), ("non-memo_guess", "Guess"))
            for family in ("Pythia", "OLMo-2")
            for place, size in enumerate(SIZES)
        ]
    )


def fits() -> pd.DataFrame:
    lines = rates()[["taxonomy", "measure", "family"]].drop_duplicates()
    lines = lines.assign(intercept=-0.2, slope=0.1, p_texts=np.nan)
    shared = lines.drop_duplicates("measure").assign(
        family="all families", intercept=np.nan, p_texts=0.031
    )
    return pd.concat([lines, shared], ignore_index=True)


def test_every_model_is_a_point_with_its_interval_and_every_family_a_line(style):
    figure = rates_against_size(rates(), fits(), style=style)
    visible = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in visible] == ["full", "none", "Guess"]
    for axes in visible:
        assert "equal slopes: p = 0.031" in [text.get_text() for text in axes.texts]
        points, line = axes.lines[:2]
        np.testing.assert_allclose(points.get_xdata(), SIZES)
        np.testing.assert_allclose(points.get_ydata(), [10, 15, 20])
        np.testing.assert_allclose(
            line.get_ydata(), 100 * (-0.2 + 0.1 * np.log10([SIZES[0], SIZES[-1]]))
        )
        ends = np.array([segment[:, 1] for segment in axes.collections[0].get_segments()])
        np.testing.assert_allclose(ends, [[8, 14], [12, 21], [16, 28]])
    assert visible[-1].get_ylabel() == "non-memo\nguess\nwindows (%)"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["Pythia", "OLMo-2"]


def test_checkpoints_are_drawn_over_their_steps(style):
    table = rates().assign(step=lambda rows: rows["parameters"] // 1000, parameters=12)
    figure = rates_against_size(table, fits(), style=style)
    assert figure.get_supxlabel() == "training step (log₁₀ scale)"
    np.testing.assert_allclose(figure.axes[0].lines[0].get_xdata(), np.array(SIZES) // 1000)
    assert rates_against_size(rates(), fits(), style=style).get_supxlabel().startswith("param")


def test_a_family_of_one_model_is_a_point(style):
    one = rates().drop_duplicates(["taxonomy", "measure", "family"])
    lines = fits().assign(intercept=np.nan, slope=np.nan)
    figure = rates_against_size(one, lines[lines["family"] != "all families"], style=style)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [10])


def test_every_model_has_the_line_of_its_scores(style):
    table = pd.DataFrame(
        [
            {"family": "A", "model": name, "parameters": size, "score": score, "windows": windows}
            for name, size in (("small", 2_000), ("large", 4_000_000))
            for score, windows in ((0.0, 60), (0.5, 0), (1.0, 40))
        ]
    ).assign(share=lambda rows: rows["windows"] / 100)
    (axes,) = score_distributions(table, style=style).axes
    for line in axes.lines:
        np.testing.assert_allclose(line.get_ydata(), [60, np.nan, 40])
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["2k (n = 100)", "4M (n = 100)"]
    steps = table.assign(step=table["model"].map({"small": 500, "large": 2000}), parameters=12)
    (axes,) = score_distributions(steps, style=style).axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["step 500 (n = 100)", "step 2k (n = 100)"]


def test_numbers_of_parameters_are_short():
    assert [short_number(size) for size in (*SIZES, 12)] == ["70k", "1M", "12B", "12"]


def test_what_is_missing_is_named(style):
    with pytest.raises(EngramError, match="rates_against_size: column rate_low is missing"):
        rates_against_size(rates().drop(columns="rate_low"), fits(), style=style)

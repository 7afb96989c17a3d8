"""Memorization by exposures: intervals, positions, points."""

import numpy as np
import pytest

from engram.figures.exposures import exposure_positions, memorization_vs_exposures, wilson
from engram.io.errors import EngramError


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (1, 30), (15, 30), (400, 401), (7, 7)])
def test_wilson_bounds_are_where_the_share_is_z_standard_errors_off(successes, n):
    for bound in wilson(successes, n, z=1.7):
        off = abs(successes / n - bound)
        assert off == pytest.approx(1.7 * np.sqrt(bound * (1 - bound) / n), abs=1e-7)


def test_doublings_are_one_apart_and_zero_stands_left():
    positions = exposure_positions([0, 8, 16, 64])
    assert np.diff(list(positions.values())).tolist() == [1.5, 1, 2]


def test_points_are_the_shares_and_bars_the_intervals(windows, style):
    axes = memorization_vs_exposures(windows, style=style).axes[
        0
    ]  # natural windows: exposures // 4 of 30 are extracted
    drawn = next(line for line in axes.lines if line.get_label() == "drilled model")
    expected = [min(exposures // 4, 30) for exposures in (0, 8, 32, 48, 64, 96, 128)]
    np.testing.assert_allclose(drawn.get_ydata(), [100 * hits / 30 for hits in expected])
    bars = np.array([segment[:, 1] for segment in axes.collections[1].get_segments()])
    np.testing.assert_allclose(
        bars, [[100 * bound for bound in wilson(hits, 30)] for hits in expected]
    )


def test_natural_windows_and_templates_have_their_own_panels_and_n(windows, style):
    windows = windows[(windows["kind"] == "natural") | (windows["exposures"] == 0)]
    figure = memorization_vs_exposures(windows, style=style)
    assert [axes.get_title() for axes in figure.axes] == ["natural windows", "templates"]
    assert [sum(text.get_text() == "30" for text in axes.texts) for axes in figure.axes] == [7, 1]


def test_one_kind_alone_has_one_panel(windows, style):
    assert (
        len(memorization_vs_exposures(windows[windows["kind"] == "counter"], style=style).axes) == 1
    )


def test_an_empty_table_is_refused(windows, style):
    with pytest.raises(EngramError, match="memorization_vs_exposures: the table has no rows"):
        memorization_vs_exposures(windows[:0], style=style)

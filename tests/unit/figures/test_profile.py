"""Layer profile: shares and their intervals."""

import numpy as np
import pytest

from engram.figures.profile import layer_profile
from engram.io.errors import EngramError

NAMES = ["Non-Memo", "Guess", "Recall", "Code", "Others"]


@pytest.mark.parametrize("classes", [2, 3, 4, 5])
def test_line_is_the_share_band_its_interval_and_dots_the_attention(
    classes, shares_of_layers, style
):
    shares = shares_of_layers(NAMES[:classes], 6)
    axes = layer_profile(shares, NAMES[:classes], style=style).axes[0]
    for index, name in enumerate(NAMES[:classes]):
        mine = shares[shares["class"] == name]
        np.testing.assert_allclose(axes.lines[2 * index].get_ydata(), 100 * mine["share"])
        np.testing.assert_allclose(axes.lines[2 * index + 1].get_ydata(), 100 * mine["attention"])
        band = axes.collections[index].get_paths()[0].vertices[:, 1]
        assert (band.min(), band.max()) == (
            pytest.approx(100 * mine["low"].min()),
            pytest.approx(100 * mine["high"].max()),
        )


def test_what_is_missing_is_named(shares_of_layers, style):
    shares = shares_of_layers(NAMES[:2], 4)
    with pytest.raises(EngramError, match="figure layer_profile: class Recall has no rows"):
        layer_profile(shares, NAMES[:3], style=style)
    with pytest.raises(EngramError, match="figure layer_profile: column low is missing"):
        layer_profile(shares.drop(columns="low"), NAMES[:2], style=style)

"""Layer profile: shares, means, bands."""

import numpy as np
import pytest

from engram.errors import EngramError
from engram.figures.profile import layer_profile, layer_shares

NAMES = ["Non-Memo", "Guess", "Recall", "Code", "Others"]


def test_shares_of_a_cnn_sum_to_one_whatever_its_scale():
    profile = np.random.default_rng(0).random((4, 3, 6))
    shares = layer_shares(profile)
    np.testing.assert_allclose(shares.sum(axis=-1), 1)
    np.testing.assert_allclose(layer_shares(7 * profile), shares)


@pytest.mark.parametrize("classes", [2, 3, 4, 5])
def test_line_is_the_mean_and_band_the_range_over_cnns(classes, style):
    profile = np.random.default_rng(1).random((4, classes, 6))
    axes = layer_profile(profile, NAMES[:classes], [200] * classes, style=style).axes[0]
    for index in range(classes):
        shares = 100 * layer_shares(profile)[:, index]
        np.testing.assert_allclose(axes.lines[index].get_xydata(), np.stack([np.arange(1, 7), shares.mean(axis=0)], axis=1))
        band = axes.collections[index].get_paths()[0].vertices[:, 1]
        assert (band.min(), band.max()) == (pytest.approx(shares.min()), pytest.approx(shares.max()))


def test_a_dead_cnn_is_left_out_and_counted(style):
    profile = np.ones((4, 2, 3))
    profile[1, 0], profile[:, 1] = 0, 0
    axes = layer_profile(profile, NAMES[:2], [200, 100], style=style).axes[0]
    assert [line.get_label() for line in axes.lines[:2]] == ["Non-Memo  (n = 200, 3 of 4 CNNs)", "Guess  (n = 100, 0 of 4 CNNs)"]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 100 / 3)
    assert len(axes.lines[1].get_xdata()) == 0


@pytest.mark.parametrize("shape", [(0, 2, 4), (3, 2, 0), (3, 3, 4), (2, 4)])
def test_wrong_shapes_are_named(shape, style):
    with pytest.raises(EngramError, match="figure layer_profile: profile of shape"):
        layer_profile(np.ones(shape), NAMES[:2], [1, 1], style=style)

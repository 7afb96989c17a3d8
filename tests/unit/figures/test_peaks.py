"""Δ of one layer per class, and the curve of all layers on one scale."""

import numpy as np
import pandas as pd
import pytest

from engram.figures.maps import Mosaic
from engram.figures.peaks import delta_peaks
from engram.io.errors import EngramError
from engram.io.packing import pack

TOKENS, PREFIX, LAYERS = 8, 5, 4
NAMES = ["Non-Memo", "Guess", "Recall"]
PEAKS = {"Non-Memo": 2, "Guess": 4, "Recall": 1}


def levels() -> pd.DataFrame:
    """Levels that are highest at the peak of each class."""
    return pd.DataFrame(
        {
            "class": name,
            "layer": layer,
            "level": (0.9 if layer == peak else 0.1 * layer) / number,
            "low": 0.05,
            "high": 1.1,
            "n": 100 * number,
        }
        for number, (name, peak) in enumerate(PEAKS.items(), start=1)
        for layer in range(1, LAYERS + 1)
    )


def random_maps() -> np.ndarray:
    """(K, L, T, T), lower triangular."""
    return np.tril(np.random.default_rng(0).random((len(NAMES), LAYERS, TOKENS, TOKENS)))


@pytest.mark.parametrize("named", [{}, {"Guess": 3}])
def test_a_map_is_the_chosen_layer_relative_to_its_greatest_value(named, style):
    maps = random_maps()
    figure = delta_peaks(pack(maps), levels(), NAMES, PREFIX, named, style=style)
    image = np.asarray(figure.axes[0].images[0].get_array().filled(np.nan))
    # Inches per token of the figure's own axes.
    axes = figure.axes[0].get_position()
    side = axes.height * figure.get_figheight()
    mosaic = Mosaic(1, len(NAMES), 1, TOKENS, side, label=0.5)
    for index, (name, layer) in enumerate((PEAKS | named).items()):
        x, y = mosaic.origin(0, index)
        of_layer = maps[:, layer - 1]
        expected = np.where(np.tri(TOKENS, dtype=bool), of_layer[index] / of_layer.max(), np.nan)
        np.testing.assert_allclose(image[y : y + TOKENS, x : x + TOKENS], expected)
        notes = [text.get_text() for text in figure.axes[0].texts]
        assert f"layer {layer}, n = {100 * (index + 1)}" in notes, name


def test_the_curves_have_one_scale_and_a_dot_at_the_layer_of_the_map(style):
    table = levels()
    figure = delta_peaks(pack(random_maps()), table, NAMES, PREFIX, {"Guess": 3}, style=style)
    lines = figure.axes[-1].lines
    for index, (name, layer) in enumerate((PEAKS | {"Guess": 3}).items()):
        own = table[table["class"] == name]
        np.testing.assert_allclose(lines[2 * index].get_ydata(), own["level"])
        assert lines[2 * index + 1].get_xdata().tolist() == [layer]
        assert (
            lines[2 * index + 1].get_ydata().tolist()
            == own["level"][own["layer"] == layer].tolist()
        )


def test_a_layer_that_the_model_lacks_is_named(style):
    with pytest.raises(
        EngramError, match="layer 5 is wanted of Guess, the model has 4; change sal"
    ):
        delta_peaks(pack(random_maps()), levels(), NAMES, PREFIX, {"Guess": 5}, style=style)


def test_a_class_without_levels_is_named(style):
    table = levels().query("`class` != 'Recall'")
    with pytest.raises(EngramError, match="figure delta_peaks: class Recall has no rows"):
        delta_peaks(pack(random_maps()), table, NAMES, PREFIX, style=style)

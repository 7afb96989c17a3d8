"""Dose-response curves: lines are the means, the band is the probe's interval."""

import numpy as np
import pandas as pd
import pytest

from engram.figures.steering import dose_response
from engram.io.errors import EngramError


def doses() -> pd.DataFrame:
    random = np.random.default_rng(0)
    rows = []
    for name in ("Guess", "Recall", "other text"):
        for kind in ("probe", "random", "shuffled"):
            for alpha in (0.5, -0.5, 0.0):
                row = {"class": name, "n": 1200, "direction": kind, "alpha": alpha}
                for column in ("extracted", "suffix_log_prob", "perplexity"):
                    value = random.uniform(0.4, 0.6)
                    row |= {column: value, f"{column}_low": value - 0.1}
                    row[f"{column}_high"] = value + 0.2
                rows.append(row)
    return pd.DataFrame(rows)


def test_lines_are_the_means_and_bands_the_intervals_of_the_probe(style):
    table = doses()
    figure = dose_response(table, style=style)
    for axes, (column, scale) in zip(
        figure.axes,
        {"extracted": 100, "suffix_log_prob": 1, "perplexity": 1}.items(),
        strict=True,
    ):
        lines = axes.lines[1:]  # the first marks 0
        assert len(lines) == 9 and len(axes.collections) == 3
        for number, (name, kind) in enumerate(
            (name, kind)
            for name in ("Guess", "Recall", "other text")
            for kind in ("probe", "random", "shuffled")
        ):
            rows = table[(table["class"] == name) & (table["direction"] == kind)]
            rows = rows.sort_values("alpha")
            np.testing.assert_allclose(lines[number].get_xdata(), [-0.5, 0, 0.5])
            np.testing.assert_allclose(lines[number].get_ydata(), scale * rows[column])
            if kind == "probe":
                band = axes.collections[number // 3].get_paths()[0].vertices[:, 1]
                assert band.min() == pytest.approx(scale * rows[f"{column}_low"].min())
                assert band.max() == pytest.approx(scale * rows[f"{column}_high"].max())
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [f"{name} (n = 1,200)" for name in ("Guess", "Recall", "other text")]


def test_what_is_missing_is_named(style):
    with pytest.raises(EngramError, match="figure dose_response: column perplexity_low is missing"):
        dose_response(doses().drop(columns="perplexity_low"), style=style)

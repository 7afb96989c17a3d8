"""The attack's figure: a panel per model, lines are the shares that came back."""

import numpy as np
import pandas as pd
import pytest

from engram.figures.embedding_attack import embedding_attack
from engram.io.errors import EngramError


def curves() -> pd.DataFrame:
    random, rows = np.random.default_rng(0), []
    for texts in ("recalled", "never seen"):
        for model in ("intact", "heads removed"):
            for step in (2, 0, 1):
                value = random.uniform(0.3, 0.6)
                row = {"texts": texts, "model": model, "n": 40, "step": step, "recovered": value}
                rows.append(row | {"recovered_low": value - 0.1, "recovered_high": value + 0.2})
    return pd.DataFrame(rows)


def test_lines_are_the_shares_and_bands_their_intervals(style):
    table = curves()
    figure = embedding_attack(table, style=style)
    assert [axes.get_title() for axes in figure.axes] == ["intact", "heads removed"]
    for axes in figure.axes:
        for number, texts in enumerate(("recalled", "never seen")):
            rows = table[(table["model"] == axes.get_title()) & (table["texts"] == texts)]
            rows = rows.sort_values("step")
            np.testing.assert_allclose(axes.lines[number].get_ydata(), 100 * rows["recovered"])
            band = axes.collections[number].get_paths()[0].vertices[:, 1]
            assert band.min() == pytest.approx(100 * rows["recovered_low"].min())
            assert band.max() == pytest.approx(100 * rows["recovered_high"].max())
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["recalled (n = 40)", "never seen (n = 40)"]


def test_what_is_missing_is_named(style):
    with pytest.raises(EngramError, match="figure embedding_attack: column n is missing"):
        embedding_attack(curves().drop(columns="n"), style=style)

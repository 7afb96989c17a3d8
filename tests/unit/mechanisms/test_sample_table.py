"""Rows of single samples, with what their axes are called."""

from __future__ import annotations

import numpy as np

from engram.knockout.experiment import Samples
from engram.mechanisms.sample_table import sample_table

SAMPLES = Samples(
    np.array([7, 3, 9]), np.zeros(3, np.int64), np.array([1, 0, 1]), np.zeros((3, 4), np.int64)
)


def test_every_sample_has_a_row_per_combination() -> None:
    values = np.arange(12).reshape(3, 2, 2)
    table = sample_table(
        SAMPLES, ["Guess", "Recall"], {"layer": (1, 2), "share": (0.1, 0.2)}, {"loss": values}
    )
    assert list(table) == ["sequence_id", "class", "layer", "share", "loss"]
    row = table.iloc[6]
    assert row.to_list() == [3, "Guess", 2, 0.1, 6]
    assert table["loss"].tolist() == [*range(12)]


def test_without_axes_there_is_a_row_per_sample() -> None:
    table = sample_table(SAMPLES, ["Guess", "Recall"], {}, {"loss": np.array([1.0, 2.0, 3.0])})
    assert table["class"].tolist() == ["Recall", "Guess", "Recall"]
    assert table["loss"].tolist() == [1, 2, 3]

"""Matched classes: equal numbers in every cell, and no more difference than a cell is wide."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.taxonomy.matching import balance, cells, matched


def two_classes(seed: int, first: int = 400, second: int = 900) -> tuple[np.ndarray, np.ndarray]:
    """Classes whose predictability differs by two standard deviations, with overlap."""
    random = np.random.default_rng(seed)
    codes = np.repeat([0, 1, -1], [first, second, 30])
    values = random.normal(size=(len(codes), 2))
    values[codes == 1, 0] += 2
    return codes, values


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 50), st.integers(2, 6), st.integers(1, 300))
def test_every_cell_gives_as_many_of_every_class(seed: int, bins: int, per_class: int) -> None:
    codes, values = two_classes(seed)
    cell = cells(codes, values, bins)
    priority = np.random.default_rng([seed, 1]).random(len(codes))
    drawn = matched(codes, cell, priority, 2, per_class)
    counts = pd.crosstab(cell[drawn], codes[drawn])
    assert (counts.get(0) == counts.get(1)).all()
    assert drawn[codes == 0].sum() <= per_class and not drawn[codes < 0].any()
    # No sample that could be drawn is left out where the limit leaves room.
    members = pd.crosstab(cell[codes >= 0], codes[codes >= 0])
    assert drawn[codes == 0].sum() == min(per_class, members.min(axis=1).sum())


def test_within_a_cell_the_lowest_numbers_are_drawn() -> None:
    codes = np.array([0, 0, 0, 1])
    drawn = matched(codes, np.zeros(4, np.int64), np.array([0.3, 0.1, 0.2, 0.9]), 2, 10)
    assert drawn.tolist() == [False, True, False, True]


def test_matching_takes_the_difference_away() -> None:
    codes, values = two_classes(0, 4000, 9000)
    drawn = matched(codes, cells(codes, values, 20), np.arange(len(codes)), 2, 10_000)
    table = balance(codes, drawn, pd.DataFrame(values, columns=["loss", "other"]), ["A", "B"])
    loss = table.set_index(["column", "class"]).loc["loss"]
    assert loss.loc["B", "difference_before"] == pytest.approx(1, abs=0.1)
    assert abs(loss["difference_after"]).max() < 0.05
    assert loss["drawn"].nunique() == 1 and loss["drawn"].iloc[0] > 500


def test_classes_without_common_ground_give_nothing() -> None:
    codes = np.repeat([0, 1], 50)
    values = codes[:, None] * 10 + np.linspace(0, 1, 100)[:, None]
    assert not matched(codes, cells(codes, values, 4), np.arange(100), 2, 10).any()


def test_a_candidate_without_a_value_is_left_out() -> None:
    values = np.array([[1.0], [np.nan], [1.0], [2.0]])
    codes = np.array([0, 0, 1, -1])
    assert cells(codes, values, 2).tolist()[1:] == [-1, cells(codes, values, 2)[0], -1]


def test_equal_values_fall_into_one_bin() -> None:
    values = np.repeat([0.0, 1.0], 50)[:, None]
    cell = cells(np.tile([0, 1], 50), values, 7)
    assert len(np.unique(cell)) == 2

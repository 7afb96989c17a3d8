"""Knock-outs as a difference in differences, without a model: costs are made up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossed_design import made_design

from engram.crossed.differences import (
    difference_table,
    knockout_rows,
    measured_windows,
    trials,
)
from engram.crossed.intervals import mean_over_bases
from engram.crossed.tables import ALL_BASES, ALL_PAIRS, differences_of_pairs
from engram.io.packing import packed_length, query_key
from engram.nursery.arms import FIRST, SECOND

TOKENS, PREFIX, LAYERS, SUFFIX = 12, 6, 3, 6


@pytest.fixture(scope="module")
def windows() -> pd.DataFrame:
    return measured_windows(made_design(160, 1), 48, 0)


@pytest.fixture(scope="module")
def planted() -> tuple[pd.DataFrame, list, np.ndarray]:
    """Trials of a Δ that has one distance of one layer, and its cells."""
    random = np.random.default_rng(0)
    shape = (LAYERS, packed_length(TOKENS))
    queries, keys = query_key(TOKENS)
    cells = np.zeros(shape, bool)
    cells[1] = queries - keys == 3
    delta = np.where(cells, 1.0, 0) + 0.01 * random.random(shape)
    redrawn = random.random((6, *shape))
    size = cells.sum() / cells.size
    mass = random.random(shape)
    return *trials(delta, redrawn, mass, PREFIX, [size], 6, 0), cells


def measures(conditions: list, cells: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Measures of a model that loses `cost` nats per token for each share of the cells removed."""
    removed = np.array([0 if c.cells is None else (c.cells & cells).mean() for c in conditions])
    anything = np.array([0 if c.cells is None else c.cells.mean() for c in conditions])
    share = removed / cells.mean()
    nats = -1 - share[:, None] * cost - 2 * anything[:, None]
    extracted = (nats > -1.5).astype(float)
    return np.stack([extracted, extracted, nats], axis=2)


def test_the_windows_hold_both_arms_of_every_stratum(windows: pd.DataFrame) -> None:
    counts = windows.groupby(["stratum", "arm"]).size()
    assert set(counts.index.get_level_values("arm")) == {FIRST, SECOND}
    assert counts.max() <= 12 and (windows["split"] == "test").all()


def test_controls_match_the_region(planted: tuple) -> None:
    names, conditions, cells = planted
    region = names[names["kind"] == "delta"].iloc[0]
    assert (conditions[region.name].cells == cells).all()
    assert (names.loc[names["kind"] == "cells", "cells"] == region["cells"]).all()
    mass = names.loc[names["kind"] == "mass", "mass"]
    assert (mass - region["mass"]).abs().max() < 1
    assert names["kind"].value_counts()[["cells", "mass", "redrawn"]].tolist() == [6, 6, 6]


def test_a_region_of_recall_costs_the_exposed_model_more(
    windows: pd.DataFrame, planted: tuple
) -> None:
    names, conditions, cells = planted
    random = np.random.default_rng(2)
    first = (windows["arm"] == FIRST).to_numpy()
    costs = [
        np.where(shown, 0.5, 0.1) + 0.05 * random.random(len(first)) for shown in (first, ~first)
    ]
    found = [measures(conditions, cells, cost) for cost in costs]
    rows = knockout_rows(names, windows, found, SUFFIX)
    table = difference_table(rows, 0.95).set_index(["stratum", "control"])
    for control in ("cells", "mass", "redrawn"):
        row = table.loc[("all", control)]
        assert row["difference_low"] > 1 and row["rank"] == pytest.approx(1 / 7)
        assert row["exposed"] > row["unexposed"] > 0


def test_a_region_that_every_reading_needs_is_no_recall(
    windows: pd.DataFrame, planted: tuple
) -> None:
    """It costs both models alike: only the difference in differences knows."""
    names, conditions, cells = planted
    cost = np.full(len(windows), 0.5)
    found = [measures(conditions, cells, cost)] * 2
    table = difference_table(knockout_rows(names, windows, found, SUFFIX), 0.95)
    assert table["difference"].abs().max() < 1e-9
    assert (table["exposed"] > 1).all() and (table["rank"] == 1).all()


def test_all_pairs_are_the_mean_of_pairs(windows: pd.DataFrame, planted: tuple) -> None:
    names, conditions, cells = planted
    first = (windows["arm"] == FIRST).to_numpy()
    knockouts = {}
    for pair, (exposed, unexposed) in {"one": (0.5, 0.1), "two": (0.3, 0.2)}.items():
        costs = [np.where(shown, exposed, unexposed) for shown in (first, ~first)]
        found = [measures(conditions, cells, cost) for cost in costs]
        knockouts[pair] = knockout_rows(names, windows, found, SUFFIX)
    table = differences_of_pairs(knockouts, ["first", "first"], 0.95)
    rows = table[(table["stratum"] == "all") & (table["control"] == "cells")].set_index("pair")
    assert rows.index.tolist() == [ALL_PAIRS, "one", "two"]
    own = rows.loc[["one", "two"]]
    assert rows.loc[ALL_PAIRS, "windows"] == own["windows"].sum()
    assert rows.loc[ALL_PAIRS, "clusters"] == own["clusters"].max()
    assert rows.loc[ALL_PAIRS, "difference"] == pytest.approx(own["difference"].mean())
    one = differences_of_pairs({"one": knockouts["one"]}, ["first"], 0.95)
    assert ALL_PAIRS not in set(one["pair"])


def test_what_one_base_shows_is_not_shown_by_all(windows: pd.DataFrame, planted: tuple) -> None:
    """Four pairs of two bases agree within their base only: certain of these models, and of no
    other base."""
    names, conditions, cells = planted
    first, random = (windows["arm"] == FIRST).to_numpy(), np.random.default_rng(4)
    knockouts = {}
    for pair, exposed in {"1-1": 0.9, "1-2": 0.8, "2-1": 0.15, "2-2": 0.05}.items():
        costs = [
            np.where(shown, exposed, 0.1) + 0.02 * random.random(len(first))
            for shown in (first, ~first)
        ]
        found = [measures(conditions, cells, cost) for cost in costs]
        knockouts[pair] = knockout_rows(names, windows, found, SUFFIX)
    table = differences_of_pairs(knockouts, ["first", "first", "second", "second"], 0.95)
    rows = table[(table["stratum"] == "all") & (table["control"] == "cells")].set_index("pair")
    assert rows.index[:2].tolist() == [ALL_PAIRS, ALL_BASES]
    assert rows.loc[ALL_PAIRS, "difference_low"] > 0 > rows.loc[ALL_BASES, "difference_low"]
    assert rows.loc[ALL_BASES, "difference"] == pytest.approx(rows.loc[ALL_PAIRS, "difference"])
    means = [rows.loc[own, "difference"].mean() for own in (["1-1", "1-2"], ["2-1", "2-2"])]
    # Student's t of two bases; what they share, the windows, adds next to nothing here.
    half = 12.706 * abs(means[0] - means[1]) / 2
    assert rows.loc[ALL_BASES, "difference_high"] == pytest.approx(np.mean(means) + half, rel=0.01)


def test_errors_that_all_bases_share_widen_their_interval() -> None:
    values = np.array([1.0, 1.2, 0.9])
    random = np.random.default_rng(0)
    shared = np.repeat(random.normal(size=(40, 1)), 3, axis=1)
    alone = mean_over_bases(values, pd.DataFrame(np.zeros((40, 3))), 39, 0.95)
    joint = mean_over_bases(values, pd.DataFrame(shared), 39, 0.95)
    assert joint.value == alone.value == pytest.approx(values.mean())
    assert joint.high - joint.low > 2 * (alone.high - alone.low)

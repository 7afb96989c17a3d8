"""Scorers of one pair in other pairs: what transfers, and what must not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossed_design import made_design, signs

from engram.crossed.null import redrawn
from engram.crossed.transfer import Pair, transfer_table, transfers
from engram.nursery.arms import FIRST, SECOND

FEATURES = 80


def design_of(seed: int) -> pd.DataFrame:
    """The same windows and split for every seed; arms of its own."""
    design = made_design(160, 0).assign(class_="")
    random = np.random.default_rng([9, seed])
    swap = random.random(design["cluster"].max() + 1) < 0.5
    one_arm = design["arm"].isin([FIRST, SECOND]) & swap[design["cluster"]]
    design.loc[one_arm, "arm"] = FIRST + SECOND - design.loc[one_arm, "arm"]
    return design


def pair(
    name: str, base: str, seed: int, trace: np.ndarray, fingerprint: float = 0.0, draws: int = 99
) -> Pair:
    """A pair whose exposed model differs by `trace` (F,), and whose models differ on every text."""
    design = design_of(seed)
    random = np.random.default_rng([3, seed])
    difference = random.normal(size=(len(design), FEATURES))
    difference += signs(design)[:, None] * trace
    difference += fingerprint * random.normal(size=FEATURES)
    arms = redrawn(design, draws, 0)
    return Pair(name, base, design, arms, {"attention_mean": difference.astype(np.float32)})


def trace(seed: int) -> np.ndarray:
    """The same eight features for the same seed."""
    found = np.zeros(FEATURES)
    found[seed * 8 : seed * 8 + 8] = 1.0
    return found


def means(table: pd.DataFrame) -> pd.Series:
    """Accuracy on all windows, means over pairs, by `bases`."""
    some = table[(table["trained_in"] == "all pairs") & (table["tested_on"] == "all")]
    return some[some["trained_on"] == "all"].set_index("bases")["accuracy"]


def test_a_shared_trace_transfers_and_one_of_the_base_does_not() -> None:
    """Pairs of a base share a trace, beneath fingerprints far larger than it."""
    pairs = [
        pair("a1", "a", 1, trace(0), 30),
        pair("a2", "a", 2, trace(0), 30),
        pair("b1", "b", 3, trace(1), 30),
    ]
    table = transfer_table(list(transfers(pairs)), 0.95)
    found = means(table)
    assert found["same base"] >= 0.9
    assert found["other base"] == pytest.approx(0.5, abs=0.08)
    joint = table[table["trained_in"] == "all pairs"].set_index(
        ["bases", "trained_on", "tested_on"]
    )
    assert joint.loc[("same base", "all", "all"), "pairs"] == 2
    assert joint.loc[("other base", "all", "all"), "pairs"] == 4
    assert joint.loc[("same base", "all", "all"), "p"] == pytest.approx(0.01)


def test_the_null_of_a_mean_redraws_a_tested_pair_once() -> None:
    """A scorer whose features are the other pair's too: the mean over two equal scorers has the
    null distribution of one of them, not a narrower one.
    """
    same = np.zeros(FEATURES)
    first, tested = pair("one", "a", 1, same), pair("tested", "b", 2, same)
    twin = Pair("two", "a", first.windows, first.arms, first.differences)
    found = [t for t in transfers([first, twin, tested]) if t.tested_in == "tested"]
    table = transfer_table(found, 0.95).set_index(["trained_in", "trained_on", "tested_on"])
    joint, alone = table.loc[("all pairs", "all", "all")], table.loc[("one", "all", "all")]
    assert joint["null_95"] == alone["null_95"] and joint["p"] == alone["p"]
    width = joint["accuracy_high"] - joint["accuracy_low"]
    assert width == pytest.approx(alone["accuracy_high"] - alone["accuracy_low"])


def test_windows_that_the_scorer_was_trained_on_are_left_out() -> None:
    """Another pair's test windows may be the scorer's training windows where splits differ."""
    first, second = pair("one", "a", 1, trace(0)), pair("two", "a", 2, trace(0))
    moved = second.windows.assign(
        split=second.windows["split"].map(
            {"test": "train", "train": "test", "validation": "validation"}
        )
    )
    second = Pair("two", "a", moved, redrawn(moved, 19, 0), second.differences)
    assert not [t for t in transfers([first, second]) if t.tested_in == "two"]


def test_pairs_of_another_shape_are_left_out() -> None:
    first, second = pair("one", "a", 1, trace(0)), pair("two", "b", 2, trace(0))
    cut = {name: values[:, :-1] for name, values in second.differences.items()}
    second = Pair("two", "b", second.windows, second.arms, cut)
    assert not list(transfers([first, second]))

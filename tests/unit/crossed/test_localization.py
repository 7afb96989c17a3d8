"""Δ of the paired scorer, and the scores of a pair, on maps with a planted layer and band."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from crossed_design import made_design, signs

from engram.crossed.effects import control_table, effect_table, outcomes
from engram.crossed.localization import layer_table, paired_delta
from engram.crossed.null import redrawn
from engram.crossed.pair import control_rows, design_rows, matched_rows, score_pair
from engram.io.packing import packed_length, query_key
from engram.nursery.arms import ARMS

TOKENS, LAYERS, LAYER, DISTANCE = 12, 3, 1, 4
BANDS = ((0, 0), (1, 3), (4, 7), (8, 11))


@pytest.fixture(scope="module")
def planted() -> tuple[pd.DataFrame, np.ndarray]:
    """Windows, and the difference of their maps: exposure raises one distance of one layer."""
    design = made_design(110, 7)
    design["class"] = np.array(ARMS, object)[design["arm"]]
    random = np.random.default_rng(8)
    queries, keys = query_key(TOKENS)
    difference = random.normal(size=(len(design), LAYERS, packed_length(TOKENS)))
    difference += random.normal(size=(1, LAYERS, packed_length(TOKENS))) * 3  # a fingerprint
    raised = 0.9 * signs(design)[:, None] * (queries - keys == DISTANCE)
    difference[:, LAYER] += raised
    return design, difference.astype(np.float32)


@pytest.fixture(scope="module")
def windows(planted: tuple[pd.DataFrame, np.ndarray]) -> pd.DataFrame:
    design = planted[0].assign(overlap=0.2, document="a/b.py")
    random = np.random.default_rng(9)
    shown = [design["arm"].isin([number, 3]).to_numpy() for number in (1, 2)]
    scores = [
        pd.DataFrame(
            {
                "sequence_id": design["sequence_id"],
                "extracted": random.random(len(design)) < np.where(own, 0.8, 0.1),
                "suffix_log_prob": random.normal(np.where(own, -0.5, -2), 1),
                "twin_extracted": False,
            }
        )
        for own in shown
    ]
    return outcomes(design, *scores)


def test_delta_names_the_layer_and_band(planted: tuple[pd.DataFrame, np.ndarray]) -> None:
    design, difference = planted
    arms = redrawn(design, 19, 0)
    delta = paired_delta(difference, arms, 6, 0, 1)
    queries, keys = query_key(TOKENS)
    region = np.zeros((LAYERS, len(queries)), bool)
    region[LAYER] = queries - keys == DISTANCE
    top = np.argsort(-delta.delta, axis=None)[: region.sum()]
    assert region.ravel()[top].mean() > 0.85
    table = layer_table(difference, delta, arms, BANDS).set_index(["layer", "band"])
    best = table.drop(index=[(0, name) for name in table.index.levels[1]])
    best = best[best.index.get_level_values("band") != "all"]
    assert best["delta"].idxmax() == best["accuracy"].idxmax() == (LAYER + 1, "4-7")
    assert best.loc[(LAYER + 1, "4-7"), "largest"] == 1.0
    assert best.loc[(LAYER + 1, "4-7"), "accuracy"] > 0.9
    others = best.drop(index=(LAYER + 1, "4-7"))
    assert (others["accuracy"] > others["null_95"]).mean() < 0.3


def test_delta_of_redrawn_arms_names_nothing(planted: tuple[pd.DataFrame, np.ndarray]) -> None:
    """A control: scorers of other arms have no margin on the other half."""
    design, difference = planted
    arms = redrawn(design, 2, 0)
    found = paired_delta(difference, arms, 4, 0, 4)
    margins = found.redrawn.sum(axis=(1, 2))
    assert len(margins) == 2
    assert np.abs(margins).max() < 0.3 * found.delta.sum()


def test_redrawn_arms_are_scored_like_the_designs_own(
    planted: tuple[pd.DataFrame, np.ndarray],
) -> None:
    design, difference = planted
    arms = redrawn(design, 2, 0)
    found = paired_delta(difference, arms, 3, 0, 2)
    exchanged = replace(arms, drawn=arms.drawn[:, [2]])
    alone = paired_delta(difference, exchanged, 2, 0, 1)
    np.testing.assert_allclose(found.redrawn[1], alone.delta, rtol=1e-3, atol=1e-7)


def test_a_pairs_scores(planted: tuple[pd.DataFrame, np.ndarray], windows: pd.DataFrame) -> None:
    design, difference = planted
    arms = redrawn(design, 99, 0)
    flat = difference.reshape(len(design), -1)
    found = score_pair(windows, arms, {"attention_mean": flat}, 0.95)
    rows = found.rows.set_index(["trained_on", "tested_on", "selection"])
    assigned = rows.xs("assigned", level="selection")
    assert (assigned["accuracy"] >= 0.85).all() and (assigned["p"] == 0.01).all()
    # The trace is the same in both kinds of text here.
    assert assigned.loc[("natural", "templates"), "accuracy"] > 0.85
    assert (assigned["accuracy_low"] < assigned["accuracy"]).all()
    chosen = rows[rows.index.get_level_values("selection") != "assigned"]
    assert len(chosen) and chosen["p"].isna().all()
    assert found.null["redraw"].max() == 99
    matched = list(matched_rows(windows, arms, found.decisions, 3))
    assert all(row["matched_auroc"] > 0.8 for row in matched if row["fewer_arm"] > 10)


def test_the_text_does_not_know_the_arm(
    planted: tuple[pd.DataFrame, np.ndarray], windows: pd.DataFrame
) -> None:
    arms = redrawn(planted[0], 99, 0)
    tokens = np.random.default_rng(0).integers(0, 50, (len(windows), TOKENS))
    rows = pd.DataFrame(design_rows(windows, tokens, arms, 0.95))
    assert (rows["p"] > 0.01).all()
    # A design whose arms follow the text is found out.
    tokens[signs(planted[0]) > 0, 0] = 60
    rows = pd.DataFrame(design_rows(windows, tokens, arms, 0.95)).set_index("input")
    assert rows.loc["tokens", "p"] <= 0.01


def test_placebo_windows_are_at_chance(
    planted: tuple[pd.DataFrame, np.ndarray], windows: pd.DataFrame
) -> None:
    design, difference = planted
    arms = redrawn(design, 0, 0)
    flat = difference.reshape(len(design), -1)
    (row,) = control_rows(windows, arms, {"attention_mean": flat}, 0.95)
    assert row["check"] == "model 1 called exposed: placebo"
    assert row["low"] < 0.5 < row["high"]
    table = control_table(windows, 0.95)
    assert (table["difference_low"] < 0).all() and (table["difference_high"] > 0).all()


def test_effects_of_a_planted_exposure(windows: pd.DataFrame) -> None:
    table = effect_table(windows, 0.95).set_index(["split", "stratum"])
    whole = table.loc[("all", "low")]
    assert whole["effect_low"] < 0.7 < whole["effect_high"]
    assert whole["effect"] == pytest.approx(whole["exposed"] - whole["unexposed"])
    assert whole["effect"] == pytest.approx(whole["recalled_only"] - whole["drift"])
    assert whole["nats"] == pytest.approx(1.5, abs=0.3)
    assert set(table.index.get_level_values("split")) == {"all", "test"}

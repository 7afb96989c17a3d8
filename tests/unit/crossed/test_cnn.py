"""CNNs trained for pairs: what they find in small maps, and what they must not find."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from crossed_design import made_design, signs

from engram.crossed.cnn import Maps, PairedDropout, train_paired_cnn
from engram.crossed.cnn_scores import cnn_checks, score_pair_cnns, train_pair_cnns
from engram.crossed.effects import outcomes
from engram.crossed.null import redrawn
from engram.crossed.settings import CrossedCnnSettings
from engram.crossed.tables import ALL_BASES, ALL_PAIRS, joint_rows
from engram.io.packing import packed_length, query_key
from engram.nursery.arms import ARMS

TOKENS, LAYERS, LAYER = 16, 3, 1
SETTINGS = CrossedCnnSettings(kernel=4, features=8, seeds=(0,), epochs=6, redraws=0)


@pytest.fixture(autouse=True)
def few_threads() -> None:
    torch.set_num_threads(1)


def pair_maps(design: pd.DataFrame, seed: int, effect: float, fingerprint: float = 0.0) -> Maps:
    """Maps of two models on the same texts, near 1/T as attention is. Exposure raises a band of one
    layer by `effect` standard deviations; each model has a pattern of its own.
    """
    random = np.random.default_rng([6, seed])
    shape = (len(design), LAYERS, packed_length(TOKENS))
    queries, keys = query_key(TOKENS)
    band = (queries - keys >= 3) & (queries - keys <= 6)
    text = random.normal(size=shape)
    sign = signs(design)
    maps = []
    for model in (1, -1):
        own = text + 0.5 * random.normal(size=shape)
        own += fingerprint * random.normal(size=(1, *shape[1:]))
        own[:, LAYER] += effect * (sign == model)[:, None] * band
        maps.append((0.05 + 0.02 * own).astype(np.float32))
    return maps[0], maps[1]


def with_outcomes(design: pd.DataFrame) -> pd.DataFrame:
    """Return windows as `score_pair` gets them."""
    scores = pd.DataFrame(
        {
            "sequence_id": design["sequence_id"],
            "extracted": False,
            "suffix_log_prob": -1.0,
            "twin_extracted": False,
        }
    )
    design = design.assign(**{"class": np.array(ARMS, object)[design["arm"]]})
    return outcomes(design, scores, scores)


def reached(design: pd.DataFrame, maps: Maps, settings: CrossedCnnSettings = SETTINGS) -> pd.Series:
    """Return the row of all test windows."""
    windows, arms = with_outcomes(design), redrawn(design, 99, 0)
    cnns = {"cnn_attention_mean": train_pair_cnns(maps, arms, settings)}
    rows = score_pair_cnns(windows, arms, cnns, 0.95).rows
    return rows.set_index(["tested_on", "selection"]).loc[("all", "assigned")]


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_finds_a_planted_exposure_despite_fingerprints(share: float) -> None:
    design = made_design(160, 0, share)
    row = reached(design, pair_maps(design, 0, 1.0, 1.0))
    assert row["accuracy"] >= 0.9 and min(row["first"], row["second"]) >= 0.8
    assert row["p"] == 0.01 and row["redraws"] == 99


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_a_fingerprint_is_at_chance(share: float) -> None:
    """Mean over designs; a model's own pattern is twice the noise between the models."""
    accuracies = []
    for seed in range(8):
        design = made_design(60, seed, share)
        few = SETTINGS.replace(epochs=2)
        accuracies.append(reached(design, pair_maps(design, seed, 0, 1.0), few)["accuracy"])
    error = np.std(accuracies, ddof=1) / np.sqrt(len(accuracies))
    assert abs(np.mean(accuracies) - 0.5) < 3 * error


def test_without_exposure_a_cnn_is_not_above_its_null() -> None:
    rows = []
    for seed in range(6):
        design = made_design(60, seed)
        rows.append(reached(design, pair_maps(design, seed, 0), SETTINGS.replace(epochs=2)))
    assert sum(row["p"] <= 0.05 for row in rows) <= 2  # binomial(6, .05): above 2 in .2 %


def test_a_pairs_scores_join_with_those_of_other_pairs_and_bases() -> None:
    windows, decisions, null, checks = {}, {}, {}, []
    for number, pair in enumerate(("a", "b")):
        design = made_design(120, 0)
        maps, arms = pair_maps(design, number, 1.0), redrawn(design, 19, number)
        cnns = {"cnn_attention_mean": train_pair_cnns(maps, arms, SETTINGS.replace(redraws=1))}
        windows[pair] = with_outcomes(design)
        scores = score_pair_cnns(windows[pair], arms, cnns, 0.95)
        decisions[pair], null[pair] = scores.decisions, scores.null
        checks += cnn_checks(windows[pair], arms, cnns, 0.95)
    joint = joint_rows(windows, decisions, null, ["x", "y"], 0.95).set_index(["pair", "tested_on"])
    for kind in (ALL_PAIRS, ALL_BASES):
        row = joint.loc[(kind, "all")]
        assert row["accuracy"] > 0.9 and row["p"] == 0.05 and row["redraws"] == 19
    table = pd.DataFrame(checks)
    placebo = table[table["check"] == "model 1 called exposed: placebo"]
    assert len(placebo) == 2 and 0.3 < placebo["value"].mean() < 0.7
    control = table[table["check"] == "CNNs of redrawn arms"].iloc[0]
    assert 0.3 < control["value"] < 0.7 and control["p"] == 0.5 and control["redraws"] == 1


def test_the_same_numbers_for_the_same_seed() -> None:
    design = made_design(40, 2)
    maps, arms = pair_maps(design, 2, 1.0), redrawn(design, 0, 0)
    arm = arms.drawn[:, 0].astype(np.int64)
    few = SETTINGS.replace(epochs=1)
    one, two, other = (
        train_paired_cnn(maps, arm, arms.windows, few, seed).score for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


def test_the_intercept_is_midway_between_the_arms_of_validation_windows() -> None:
    design = made_design(60, 4, 0.75)
    maps, arms = pair_maps(design, 4, 0.5, 1.0), redrawn(design, 0, 0)
    arm = arms.drawn[:, 0].astype(np.int64)
    found = train_paired_cnn(maps, arm, arms.windows, SETTINGS.replace(epochs=1), 0).score
    held = arms.windows.rows("validation")
    for name in ("low", "templates"):
        own = held[arms.windows.stratum[held] == name]
        means = [found[own[arm[own] == sign]].mean() for sign in (1, -1)]
        assert sum(means) == pytest.approx(0, abs=1e-6) and means[0] != means[1]


def test_swapping_the_models_changes_the_sign_alone() -> None:
    """The scorer is antisymmetric."""
    design = made_design(40, 3)
    maps, arms = pair_maps(design, 3, 1.0, 0.5), redrawn(design, 0, 0)
    arm = arms.drawn[:, 0].astype(np.int64)
    few = SETTINGS.replace(epochs=1)
    one = train_paired_cnn(maps, arm, arms.windows, few, 0)
    two = train_paired_cnn((maps[1], maps[0]), -arm, arms.windows, few, 0)
    np.testing.assert_allclose(one.score, -two.score, atol=1e-3)


def test_both_halves_of_a_batch_share_their_dropout() -> None:
    dropout = PairedDropout(0.5)
    dropout.train()
    kept = dropout(torch.ones(6, 5, 4, 4))
    assert torch.equal(kept[:3], kept[3:]) and set(kept.unique().tolist()) == {0.0, 2.0}
    dropout.eval()
    assert torch.equal(dropout(torch.ones(2, 3)), torch.ones(2, 3))

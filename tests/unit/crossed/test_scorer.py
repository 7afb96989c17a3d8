"""The paired scorer: what it finds, and what it must not find."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossed_design import made_design, signs
from sklearn.linear_model import Ridge

from engram.crossed.accuracy import arm_accuracies, auroc, hits
from engram.crossed.null import Reached, redrawn, try_scorer
from engram.crossed.scorer import Windows, fit, inner_products, scores
from engram.nursery.arms import FIRST, NEITHER, SECOND


def reached(
    design: pd.DataFrame, difference: np.ndarray, redraws: int = 0, seed: int = 0
) -> dict[str, Reached]:
    """The design's scorer on all strata, tested on each and on all."""
    arms = redrawn(design, redraws, seed)
    products = inner_products(difference.astype(np.float32), arms.windows)
    everything = np.ones(len(design), bool)
    sets = {name: (design["stratum"] == name).to_numpy() for name in design["stratum"].unique()}
    return try_scorer(products, arms, everything, sets | {"all": everything})


def noise(design: pd.DataFrame, features: int, seed: int) -> np.ndarray:
    """Differences of two models that share a part within clusters."""
    random = np.random.default_rng([5, seed])
    of_cluster = random.normal(size=(design["cluster"].max() + 1, features))
    return random.normal(size=(len(design), features)) + of_cluster[design["cluster"]]


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_finds_a_planted_exposure_with_equal_and_unequal_arms(share: float) -> None:
    design = made_design(160, 0, share)
    difference = noise(design, 300, 0)
    difference[:, 20:60] += 0.9 * signs(design)[:, None]
    found = reached(design, difference)
    assert min(part.accuracy[0] for part in found.values()) >= 0.9


@pytest.mark.parametrize("share", [0.5, 0.75])
@pytest.mark.parametrize("per_stratum", [False, True])
def test_a_global_fingerprint_is_at_chance(share: float, per_stratum: bool) -> None:
    """Mean over designs; every model has a fingerprint ten times the noise."""
    accuracies = []
    for seed in range(24):
        design = made_design(80, seed, share)
        fingerprint = np.random.default_rng(seed).normal(size=(2, 50)) * 10
        row = (design["stratum"] == "low").to_numpy(int) * per_stratum
        accuracies.append(
            reached(design, noise(design, 50, seed) + fingerprint[row])["all"].accuracy[0]
        )
    error = np.std(accuracies, ddof=1) / np.sqrt(len(accuracies))
    assert abs(np.mean(accuracies) - 0.5) < 3 * error


def test_a_fingerprint_alone_is_a_tie() -> None:
    """Nothing but a constant between the models: every decision goes to one arm, or is a tie."""
    design = made_design(60, 1, 0.7)
    difference = np.tile(np.random.default_rng(0).normal(size=30), (len(design), 1))
    for part in reached(design, difference).values():
        assert part.accuracy[0] == pytest.approx(0.5)


def test_the_text_alone_is_a_tie() -> None:
    design = made_design(60, 2)
    for part in reached(design, np.zeros((len(design), 10))).values():
        assert part.accuracy[0] == 0.5 and part.auroc[0] == 0.5


def test_swapping_the_models_changes_nothing() -> None:
    """The scorer is antisymmetric."""
    design = made_design(80, 3)
    difference = noise(design, 40, 3)
    difference[:, 0] += signs(design)
    swapped = design.assign(arm=design["arm"].map({FIRST: SECOND, SECOND: FIRST, NEITHER: NEITHER}))
    one, two = reached(design, difference)["all"], reached(swapped, -difference)["all"]
    assert one.accuracy[0] == pytest.approx(two.accuracy[0])
    assert one.first == pytest.approx(two.second)
    np.testing.assert_allclose(one.score, -two.score, atol=1e-9)


def test_weights_are_those_of_ridge_regression() -> None:
    """One stratum, equal arms: an independent implementation in the space of the features."""
    random = np.random.default_rng(4)
    arm = np.tile([1, -1], 30)
    windows = Windows(arm, np.full(60, "low"), np.repeat(["train", "test"], [40, 20]))
    difference = (random.normal(size=(60, 25)) + 0.3 * arm[:, None]).astype(np.float32)
    products = inner_products(difference, windows)
    fitted = fit(products, arm[:, None], windows, strengths=(0.1,))
    train = difference[:40].astype(float)
    scaled = difference / train.std(axis=0)
    centred = scaled[:40] - scaled[:40].mean(axis=0)
    unit = np.linalg.eigvalsh(centred @ centred.T).clip(0).mean()
    plain = Ridge(alpha=0.1 * unit).fit(scaled[:40], arm[:40])
    ours = scores(products, fitted, np.arange(40, 60), windows.stratum)[:, 0]
    theirs = plain.predict(scaled[40:])
    np.testing.assert_allclose(ours - ours.mean(), theirs - theirs.mean(), atol=1e-4)


def test_redrawn_labels_are_fitted_like_their_own() -> None:
    """Many label vectors at once give what each gives alone."""
    design = made_design(60, 5)
    arms = redrawn(design, 4, 0)
    products = inner_products(noise(design, 30, 5).astype(np.float32), arms.windows)
    rows = arms.windows.rows("test")
    together = scores(products, fit(products, arms.drawn, arms.windows), rows, arms.windows.stratum)
    for column in range(5):
        alone = fit(products, arms.drawn[:, [column]], arms.windows)
        single = scores(products, alone, rows, arms.windows.stratum)
        np.testing.assert_allclose(together[:, [column]], single, atol=1e-9)


def test_redraws_keep_clusters_whole_and_cells_balanced() -> None:
    design = made_design(100, 6)
    arms = redrawn(design, 50, 0)
    single = design[design["arm"] != NEITHER]
    for column in range(1, 51):
        drawn = pd.Series(arms.drawn[single.index, column], index=single["cluster"])
        assert (drawn.groupby(level=0).nunique() == 1).all()
        of_cluster = drawn.groupby(level=0).first()
        cells = single.drop_duplicates("cluster").set_index("cluster")[["block", "split"]]
        sums = of_cluster.groupby([cells["block"], cells["split"]]).sum()
        assert (sums.abs() <= 1).all()
    assert (arms.drawn[design["arm"] == NEITHER] == 0).all()


def test_rejects_a_true_null_at_its_level() -> None:
    """Clustered data, 100 studies; `perf/crossed_coverage.py` runs 1,000."""
    rejected = 0
    for seed in range(100):
        design = made_design(48, seed, strata=("low",))
        rejected += reached(design, noise(design, 30, seed), 99, seed)["all"].p <= 0.05
    assert 0 <= rejected <= 13  # binomial(100, .05): 0 to 13 in 99.9 %


def test_accuracy_counts_ties_half_and_arms_alike() -> None:
    arms = np.array([1, 1, 1, -1])[:, None]
    value = np.array([2.0, 0.0, -1.0, -3.0])[:, None]
    stratum = np.full(4, "low")
    assert hits(value, arms)[:, 0].tolist() == [1, 0.5, 0, 1]
    found = arm_accuracies(value, arms, stratum)
    assert (found.first[0], found.second[0], found.mean[0]) == (0.5, 1.0, 0.75)
    assert auroc(value, arms, stratum)[0] == 1.0

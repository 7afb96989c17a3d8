"""Means in the exposed and in the unexposed model: planted differences are found, fingerprints are
not, and intervals cover."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossed_design import made_design, signs

from engram.crossed.mean_differences import PairValues, mean_differences
from engram.crossed.null import redrawn

COLUMNS = pd.MultiIndex.from_tuples(
    [("entropy", "entropy", np.nan, 0.0), ("remind", "loss", np.nan, np.nan)],
    names=("measure", "value", "alpha", "depth"),
)
EFFECT, FINGERPRINT = -0.4, 3.0


def made_pair(seed: int, effect: float, clusters: int = 96, redraws: int = 99) -> PairValues:
    """A pair whose second value, and not the first, falls by exposure; in one arm more windows than
    in the other, and in model 1 all values greater.
    """
    design = made_design(clusters, seed, share=0.3)
    random, sign = np.random.default_rng([5, seed]), signs(design)
    text = (
        random.normal(size=(len(design), 2)) + 5 * (design["stratum"] == "low").to_numpy()[:, None]
    )
    of_cluster = 0.1 * random.normal(size=(clusters, 2))[design["cluster"]]
    frames = []
    for model in (1, -1):
        values = text + 0.2 * random.normal(size=text.shape) + (model > 0) * FINGERPRINT
        values += model * of_cluster / 2
        values[:, 1] += effect * (sign == model)
        frames.append(pd.DataFrame(values, columns=COLUMNS))
    return PairValues(redrawn(design, redraws, seed), *frames)


def test_a_planted_difference_is_found_and_a_fingerprint_is_not() -> None:
    table = mean_differences({"a": made_pair(1, EFFECT)}, 0.95)
    assert list(table.columns[:6]) == ["pair", "measure", "value", "alpha", "depth", "stratum"]
    assert set(table["pair"]) == {"a"} and set(table["stratum"]) == {
        *("all", "natural", "low", "templates")
    }
    rows = table[table["stratum"] == "all"].set_index("value")
    loss, entropy = rows.loc["loss"], rows.loc["entropy"]
    assert loss["difference_low"] < EFFECT < loss["difference_high"] < 0
    assert loss["difference"] == pytest.approx(loss["exposed"] - loss["unexposed"])
    assert loss["p"] == 1 / 100 and loss["redraws"] == 99
    assert entropy["difference_low"] < 0 < entropy["difference_high"]
    assert entropy["p"] > 0.05
    # The fingerprint of 3 is in neither the difference nor its error.
    assert entropy["difference_high"] - entropy["difference_low"] < 0.4
    # Within strata, windows spread with a standard deviation of about 1, not with that of strata.
    assert loss["standardized"] == pytest.approx(loss["difference"], rel=0.25)


def test_all_pairs_are_the_mean_of_the_pairs() -> None:
    pairs = {"a": made_pair(1, EFFECT), "b": made_pair(2, 0.0)}
    table = mean_differences(pairs, 0.95)
    rows = table[(table["stratum"] == "all") & (table["value"] == "loss")].set_index("pair")
    assert [*rows.index] == ["all pairs", "a", "b"]
    assert rows.loc["all pairs", "difference"] == pytest.approx(
        rows.loc[["a", "b"], "difference"].mean()
    )
    assert rows.loc["all pairs", "windows"] == rows.loc[["a", "b"], "windows"].sum()


def test_the_same_pair_twice_has_the_interval_of_one() -> None:
    pair = made_pair(3, EFFECT, redraws=19)
    table = mean_differences({"a": pair, "b": pair}, 0.95)
    rows = table[(table["stratum"] == "low") & (table["value"] == "loss")].set_index("pair")
    ends = ["difference_low", "difference", "difference_high", "p"]
    np.testing.assert_allclose(
        rows.loc["all pairs", ends].astype(float), rows.loc["a", ends].astype(float)
    )

"""Distances of domains: known values, planted differences and none, and what families share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from engram.series.distances import (
    COLUMNS,
    DOMAIN,
    FAMILIES,
    SUFFIX,
    Sets,
    distance_row,
    distance_table,
    jensen_shannon,
)

STATISTICS = {"resamples": 200, "confidence": 0.95, "seed": 0}
MEASURES = [("", "matched_fraction"), ("", "full"), ("", "half"), ("", "none"), ("t", "Guess")]
DOMAINS = np.array(["code", "prose", "licence"])


def test_the_divergence_is_what_a_domain_says_of_its_set_in_bits() -> None:
    assert jensen_shannon(np.array([3.0, 1]), np.array([30.0, 10])) == 0
    assert jensen_shannon(np.array([5.0, 0]), np.array([0.0, 2])) == 1
    # Mutual information of set and domain, by definition: 1 - H(set | domain).
    first, second = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    both = np.array([1 / 3, 2 / 3])  # of the first domain, share of each set
    expected = 1 - 0.75 * -(both * np.log2(both)).sum()
    assert jensen_shannon(first, second) == pytest.approx(expected)
    assert jensen_shannon(second, first) == pytest.approx(expected)


def sets(first: list[int], second: list[int], size: int = 1) -> Sets:
    """Return suffixes of so many windows each, whose domains are drawn from two distributions."""
    one, two = (np.repeat(np.eye(3), part, axis=0) * size for part in (first, second))
    none = [np.zeros_like(part) for part in (one, two)]
    counts = np.concatenate([one, none[1]]), np.concatenate([none[0], two])
    return Sets(*counts, np.zeros(len(counts[0]), bool))


def test_a_planted_difference_is_outside_the_null_and_inside_its_interval() -> None:
    truth = float(jensen_shannon(np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5])))
    row = distance_row(sets([60, 30, 10], [40, 60, 100]), **STATISTICS)
    assert row["distance"] == pytest.approx(truth) and row["low"] < truth < row["high"]
    assert row["p"] < 0.01 and row["null_95"] < row["low"]
    # The interval is centred on the distance without its bias.
    bias = row["distance"] - (row["low"] + row["high"]) / 2
    assert bias == pytest.approx((3 - 1) * (1 / 100 + 1 / 200) / (8 * np.log(2)), rel=0.6)
    assert [row[name] for name in ("n_first", "n_second", "groups", "domains")] == [
        *(100, 200, 300, 3)
    ]


def test_the_bias_of_equal_distributions_is_the_mean_of_the_null() -> None:
    row = distance_row(sets([30, 30, 30], [30, 30, 30]), **STATISTICS)
    expected = (3 - 1) * (1 / 90 + 1 / 90) / (8 * np.log(2))
    assert row["null_mean"] == pytest.approx(expected, rel=0.25)
    assert row["distance"] == 0 and row["p"] == 1 and row["low"] == 0
    # Windows of one text say no more than the text.
    grouped = distance_row(sets([30, 30, 30], [30, 30, 30], size=4), **STATISTICS)
    assert grouped["null_mean"] == pytest.approx(row["null_mean"])


def test_texts_that_both_sides_have_change_sides_as_a_whole() -> None:
    counts = np.repeat(np.eye(3), 30, axis=0)
    shared = Sets(counts, counts, np.ones(len(counts), bool))
    assert distance_row(shared, **STATISTICS)["null_95"] == 0
    apart = Sets(counts, counts, np.zeros(len(counts), bool))
    assert distance_row(apart, **STATISTICS)["null_95"] > 0
    # Every text is code for one side and prose for the other: no chance of the draw.
    code, prose = (np.tile(kind, (30, 1)) for kind in np.eye(3)[:2])
    row = distance_row(Sets(code, prose, np.ones(30, bool)), **STATISTICS)
    assert row["distance"] == 1 and row["p"] < 0.01 and row["null_95"] < 0.3


def test_sets_of_one_distribution_are_rejected_as_often_as_they_should() -> None:
    random, p = np.random.default_rng(0), []
    for seed in range(80):
        drawn = [random.multinomial(40, [0.6, 0.3, 0.1]) for _ in range(2)]
        row = distance_row(sets(*drawn), resamples=100, confidence=0.95, seed=seed)
        p.append(row["p"])
    assert np.mean(np.array(p) <= 0.05) < 0.13 and 0.4 < np.mean(p) < 0.7


def windows(family: int, full: str, rows: int = 240) -> pd.DataFrame:
    """Return windows of which some are full: of all domains alike, or of one more often. All models
    are asked for the same texts."""
    number = np.arange(rows)
    domain = DOMAINS[number % 3]
    random = np.random.default_rng(family)
    chance = np.where(domain == full, 0.9, 0.2) if full else np.full(rows, 0.5)
    memorized = random.random(rows) < chance
    return pd.DataFrame(
        {
            DOMAIN: domain,
            SUFFIX: number // 2,
            "full": memorized.astype(float),
            "half": 0.0,
            "none": (~memorized).astype(float),
            "t: Guess": memorized.astype(float),
        }
    )


def table(first: str, second: str) -> pd.DataFrame:
    models = {"a": windows(0, first), "b": windows(1, first), "c": windows(2, second)}
    families = {"a": "A", "b": "A", "c": "C"}
    found = distance_table(models, families, MEASURES, **STATISTICS)
    assert list(found) == COLUMNS
    return found.set_index(["model", "measure", "first", "second"])


def test_families_that_memorize_one_domain_differ_from_one_that_does_not() -> None:
    rows = table("code", "")
    assert rows.loc[("a", "", "full", "none"), "p"] < 0.01
    assert rows.loc[("c", "", "full", "none"), "p"] > 0.05
    assert rows.loc[(FAMILIES, "full", "A", "C"), "p"] < 0.01
    assert rows.loc[(FAMILIES, "Guess", "A", "C"), "taxonomy"] == "t"
    # They were asked for the same windows.
    every = rows.loc[(FAMILIES, "all windows", "A", "C")]
    assert every["distance"] == pytest.approx(0) and every["p"] == 1
    assert (every["n_first"], every["n_second"], every["groups"]) == (480, 240, 120)
    assert "half" not in rows.index.get_level_values("second")  # no window is


def test_families_that_memorize_alike_do_not_differ() -> None:
    row = table("code", "code").loc[(FAMILIES, "full", "A", "C")]
    assert row["p"] > 0.05 and row["low"] == 0

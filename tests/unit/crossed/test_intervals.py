"""Intervals over clusters and bases; `perf/crossed_coverage.py` measures how often they hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from engram.crossed.intervals import (
    clustered_share,
    difference_interval,
    over_bases,
    over_windows,
)


def hits(seed: int, clusters: int = 60, mean: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(clusters), random.integers(1, 6, clusters))
    ease = random.normal(np.log(mean / (1 - mean)), 1, clusters)[cluster]
    return (random.random(len(cluster)) < expit(ease)).astype(float), cluster


def test_error_is_the_cluster_bootstraps() -> None:
    values, cluster = hits(0)
    share = clustered_share(values, cluster)
    random = np.random.default_rng(1)
    sums, sizes = np.bincount(cluster, values), np.bincount(cluster)
    counts = random.multinomial(60, np.full(60, 1 / 60), 20_000)
    drawn = (counts @ sums) / (counts @ sizes)
    assert share.error == pytest.approx(drawn.std(), rel=0.05)
    assert share.value == pytest.approx(values.mean())


def test_repeated_windows_are_not_more_windows() -> None:
    """Each cluster ten times over: nothing is known that was not known before."""
    values, cluster = hits(2)
    one = clustered_share(values, cluster).interval(0.95)
    ten = clustered_share(np.tile(values, 10), np.tile(cluster, 10)).interval(0.95)
    assert ten.low == pytest.approx(one.low) and ten.high == pytest.approx(one.high)


def test_an_interval_has_a_width_where_all_windows_are_hits() -> None:
    found = clustered_share(np.ones(30), np.arange(30)).interval(0.95)
    assert found.value == pytest.approx(1) and 0.7 < found.low < 0.97 and found.high <= 1


def test_a_difference_has_a_width_where_nothing_changed() -> None:
    zero = np.zeros(40)
    found = difference_interval(zero, zero, np.arange(40), 0.95)
    assert found.value == 0 and found.low < -0.02 and found.high > 0.02


def test_a_difference_knows_that_it_is_paired() -> None:
    """Windows that are easy for one model are easy for the other."""
    random = np.random.default_rng(3)
    ease = random.random(200)
    one, two = (ease < 0.6).astype(float), (ease < 0.5).astype(float)
    paired = difference_interval(one, two, np.arange(200), 0.95)
    shuffled = difference_interval(one, random.permutation(two), np.arange(200), 0.95)
    assert paired.high - paired.low < 0.7 * (shuffled.high - shuffled.low)


def test_pairs_of_the_same_windows_are_not_independent() -> None:
    """Three copies of one model know no more than one."""
    share = clustered_share(*hits(4))
    one, three = over_windows([share], 0.95), over_windows([share] * 3, 0.95)
    assert three.low == pytest.approx(one.low, abs=1e-3)


def test_bases_are_the_unit() -> None:
    shares = [clustered_share(*hits(seed, mean=mean)) for seed, mean in enumerate((0.6, 0.7, 0.8))]
    found = over_bases([[share] for share in shares], 0.95)
    assert found.low < 0.6 and found.high > 0.8
    assert np.isnan(over_bases([[shares[0]]], 0.95).low)
    # More pairs of a base are no more bases.
    doubled = over_bases([[share, share] for share in shares], 0.95)
    assert doubled.low == pytest.approx(found.low, abs=1e-3)


def test_groups_without_a_miss_still_have_an_error() -> None:
    """Every group is of one kind: within groups nothing varies, and yet it is a sample."""
    values, group = np.repeat([1.0, 0.5], 12), np.repeat(["low", "templates"], 12)
    found = clustered_share(values, np.arange(24), group).interval(0.95)
    assert found.value == pytest.approx(0.75) and found.low < 0.7 and found.high > 0.8


def test_four_groups_without_a_miss_are_near_one() -> None:
    group = np.repeat(["low+", "low-", "high+", "high-"], [37, 36, 15, 14])
    found = clustered_share(np.ones(102), np.arange(102), group).interval(0.95)
    assert 0.88 < found.low < 0.97

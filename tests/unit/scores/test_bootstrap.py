"""Draws and interval ends against scipy, analytic distributions and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from scipy.special import expit, logit
from scipy.stats import binomtest

from engram.scores import bootstrap
from engram.scores.bootstrap import (
    cluster_means,
    cluster_sums,
    draw_counts,
    draw_in_parts,
    logit_basic_interval,
    mean_interval,
    mirror,
    normal_interval,
    percentile_ends,
    percentile_interval,
    pigeonhole_shares,
    share_interval,
    studentised_intervals,
    t_interval,
    wilson_interval,
)


def some_values(units: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).beta(4, 2, units)


def scipy_bootstrap(values: np.ndarray, statistic: object, method: str):  # type: ignore[no-untyped-def]
    return scipy.stats.bootstrap(
        (values,),
        statistic,
        n_resamples=2000,
        confidence_level=0.9,
        method=method,
        rng=np.random.default_rng(1),
    )


# --- draws


def test_counts_are_draws_with_replacement() -> None:
    counts = draw_counts(np.random.default_rng(0), 5, 20_000)
    assert (counts.sum(axis=1) == 5).all()
    # How often one unit is drawn is binomial, and draws of two units are negatively correlated.
    observed = np.bincount(counts[:, 0].astype(int), minlength=6)
    expected = 20_000 * scipy.stats.binom.pmf(np.arange(6), 5, 1 / 5)
    assert scipy.stats.chisquare(observed, expected).pvalue > 1e-3
    assert np.cov(counts.T)[0, 1] == pytest.approx(-5 / 25, abs=0.02)


def test_estimate_comes_before_the_draws_and_changes_none() -> None:
    plain, first = (
        draw_counts(np.random.default_rng(3), 4, 6, estimate=estimate) for estimate in (False, True)
    )
    np.testing.assert_array_equal(first[0], 1)
    np.testing.assert_array_equal(first[1:], plain)


@pytest.mark.parametrize("width", [0, 1000])
def test_parts_are_the_draws_of_one_piece(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw_counts(np.random.default_rng(2), 30, 101)
    monkeypatch.setattr(bootstrap, "WEIGHTS_IN_MEMORY", 2100)
    parts = list(draw_in_parts(np.random.default_rng(2), 30, 101, width))
    assert max(len(counts) for _, counts in parts) == (2 if width else 70)
    for part, counts in parts:
        np.testing.assert_array_equal(counts, whole[part])
    assert [i for part, _ in parts for i in range(part.start, part.stop)] == list(range(101))


def test_pigeonhole_shares_begin_with_equal_weights_and_sum_to_1() -> None:
    shares = pigeonhole_shares(np.random.default_rng(0), 4, 5, resamples=7)
    np.testing.assert_allclose(shares[0], 1 / 20)
    np.testing.assert_allclose(shares.sum(axis=(1, 2)), 1)
    assert len(shares) == 8 and (shares[1:].std(axis=(1, 2)) > 0).all()


def test_pigeonhole_draws_cnns_and_groups_independently() -> None:
    shares = pigeonhole_shares(np.random.default_rng(0), 3, 4, resamples=20_000)[1:]
    of_cnn, of_group = shares.sum(axis=2)[:, 0], shares.sum(axis=1)[:, 0]
    assert abs(np.corrcoef(of_cnn, of_group)[0, 1]) < 0.03
    np.testing.assert_allclose(shares, shares.sum(2)[:, :, None] * shares.sum(1)[:, None])


def test_cluster_means_of_single_samples_are_scipys_bootstrap_of_the_mean() -> None:
    values = some_values()
    sums, sizes = cluster_sums(values[:, None], np.arange(len(values)))
    counts = draw_counts(np.random.default_rng(5), len(values), 2000)
    drawn = cluster_means(counts, sums, sizes)[:, 0]
    theirs = scipy_bootstrap(values, np.mean, "percentile").bootstrap_distribution
    assert scipy.stats.ks_2samp(drawn, theirs).pvalue > 1e-3
    assert drawn.std() == pytest.approx(theirs.std(), rel=0.08)


def test_cluster_means_count_every_sample_of_a_drawn_cluster() -> None:
    values = np.array([[1.0, 0], [3, 0], [5, 6], [7, 8]])
    sums, sizes = cluster_sums(values, np.array(["b", "b", "a", "c"]))
    np.testing.assert_array_equal(sizes, [2, 1, 1])
    drawn = cluster_means(np.array([[2.0, 1, 0], [0, 0, 3]]), sums, sizes)
    expected = [values[[0, 1, 0, 1, 2]].mean(axis=0), values[3]]
    np.testing.assert_allclose(drawn, expected)


# --- interval ends


def test_percentile_interval_is_scipys() -> None:
    theirs = scipy_bootstrap(some_values(), np.mean, "percentile")
    interval = percentile_interval(some_values().mean(), theirs.bootstrap_distribution, 0.9)
    assert interval[1:] == pytest.approx(tuple(theirs.confidence_interval))
    assert interval.value == some_values().mean()


def test_percentile_ends_are_taken_of_every_column() -> None:
    draws = np.random.default_rng(0).normal(size=(500, 3, 2))
    low, high = percentile_ends(draws, 0.8)
    assert low.shape == high.shape == (3, 2)
    assert percentile_interval(0.0, draws[:, 2, 1], 0.8) == (0, low[2, 1], high[2, 1])


def test_discrete_percentiles_are_drawn_values_that_hold_at_least_the_confidence() -> None:
    draws = np.random.default_rng(0).integers(1, 20, 101)
    low, high = percentile_ends(draws, 0.77, discrete=True)
    assert {int(low), int(high)} <= set(draws.tolist())
    assert ((draws >= low) & (draws <= high)).mean() >= 0.77
    inner = percentile_ends(draws, 0.77)
    assert low <= inner[0] and inner[1] <= high


def test_logit_basic_interval_is_scipys_basic_interval_on_the_logit_scale() -> None:
    values = some_values()

    def of_mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
        return logit(np.mean(values, axis=axis))

    theirs = scipy_bootstrap(values, of_mean, "basic")
    interval = logit_basic_interval(
        values.mean(), expit(theirs.bootstrap_distribution), 0.9, margin=1e-6
    )
    assert interval[1:] == pytest.approx(tuple(expit(list(theirs.confidence_interval))))


def test_mirrored_draws_are_as_far_on_the_other_side() -> None:
    draws = np.array([0.2, 0.5, 0.9])
    np.testing.assert_allclose(
        logit(mirror(0.5, draws, 0.01)) - logit(0.5), logit(0.5) - logit(draws), atol=1e-12
    )
    assert mirror(0.5, np.array([0.0]), 0.01) == pytest.approx(0.99)


@pytest.mark.parametrize("end", [0, 1])
def test_draws_at_the_end_of_the_scale_give_the_wider_of_percentiles_and_wilson(end: int) -> None:
    draws = abs(end - np.r_[np.zeros(100), np.linspace(0, 0.3, 300)])
    interval = logit_basic_interval(abs(end - 0.1), draws, 0.9, margin=0.01)
    plain = percentile_interval(abs(end - 0.1), draws, 0.9)
    wilson = wilson_interval(abs(end - 0.1), 0.09 / draws.var(), 0.9)
    assert interval.low == min(plain.low, wilson.low)
    assert interval.high == max(plain.high, wilson.high)


def test_logit_basic_interval_includes_a_value_outside_its_ends() -> None:
    draws = np.linspace(0.2, 0.3, 101)  # all below the value: the ends are above it
    interval = logit_basic_interval(0.5, draws, 0.9, margin=0.01)
    assert interval.low == 0.5 < interval.high


def test_logit_basic_interval_is_a_point_where_no_draw_differs() -> None:
    assert logit_basic_interval(0.4, np.full(9, 0.4), 0.9, margin=0.1) == (0.4, 0.4, 0.4)


def test_normal_interval_is_that_of_the_normal_distribution_within_limits() -> None:
    draws = np.random.default_rng(0).normal(0.4, 0.05, 500)
    low, high = scipy.stats.norm.interval(0.95, 0.5, draws.std(ddof=1))
    assert normal_interval(0.5, draws, 0.95) == pytest.approx((0.5, low, high))
    assert normal_interval(0.99, draws, 0.95, limits=(-1, 1)).high == 1
    assert normal_interval(-0.99, draws, 0.95, limits=(-1, 1)).low == -1


def test_t_interval_is_that_of_the_t_test() -> None:
    values = some_values(5)
    theirs = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert t_interval(values, 0.9) == pytest.approx((values.mean(), theirs.low, theirs.high))


def test_t_interval_of_equal_units_is_a_point_and_of_one_unit_has_no_ends() -> None:
    assert t_interval(np.full(3, 0.25), 0.95) == (0.25, 0.25, 0.25)
    alone = t_interval(np.array([0.25]), 0.95)
    assert alone.value == 0.25 and np.isnan(alone[1:]).all()


def test_columns_are_named_after_the_statistic() -> None:
    interval = t_interval(np.full(2, 0.5), 0.9)
    assert interval.columns("f1") == {"f1": 0.5, "f1_low": 0.5, "f1_high": 0.5}


# --- families


def test_studentised_intervals_of_independent_normals_have_sidaks_critical_value() -> None:
    spreads = np.array([0.1, 1.0, 20.0])
    draws = spreads[:, None] * np.random.default_rng(0).normal(size=(3, 100_000))
    family = studentised_intervals(np.zeros(3), draws, 0.9)
    single = scipy.stats.norm.ppf(0.95)
    together = scipy.stats.norm.ppf((1 + 0.9 ** (1 / 3)) / 2)
    np.testing.assert_allclose((family.high - family.low) / 2, single * spreads, rtol=0.02)
    width = (family.simultaneous_high - family.simultaneous_low) / 2
    np.testing.assert_allclose(width, together * spreads, rtol=0.02)


def test_p_values_of_independent_normals_are_two_sided_and_sidaks() -> None:
    values = np.array([0.0, 1.0, -2.0])
    draws = values[:, None] + np.random.default_rng(0).normal(size=(3, 100_000))
    family = studentised_intervals(values, draws, 0.9)
    p = 2 * scipy.stats.norm.sf([0, 1, 2])
    np.testing.assert_allclose(family.p, p, atol=0.01)
    np.testing.assert_allclose(family.p_adjusted, 1 - (1 - p) ** 3, atol=0.01)


def test_equal_estimates_make_a_family_of_one() -> None:
    draws = np.repeat(np.random.default_rng(0).normal(size=(1, 4000)), 3, axis=0)
    family = studentised_intervals(np.full(3, 0.5), draws, 0.9)
    np.testing.assert_allclose(family.low, family.simultaneous_low)
    np.testing.assert_allclose(family.p, family.p_adjusted)


def test_bias_of_the_draws_shifts_the_interval_the_other_way() -> None:
    draws = np.random.default_rng(0).normal(0.7, 0.1, size=(1, 20_000))  # 0.2 above the estimate
    family = studentised_intervals(np.array([0.5]), draws, 0.95)
    assert (family.low[0] + 0.5 * 2 * 0.1 * 1.96) == pytest.approx(0.3, abs=0.01)
    assert family.high[0] == pytest.approx(0.5, abs=0.01)  # never below the estimate


def test_an_estimate_without_spread_is_a_point_and_not_different() -> None:
    family = studentised_intervals(np.zeros(1), np.zeros((1, 50)), 0.95)
    assert family.low == family.high == family.simultaneous_low == family.simultaneous_high == 0
    assert family.p == family.p_adjusted == 1


def test_simultaneous_intervals_cover_all_of_a_family_at_once() -> None:
    random, covered = np.random.default_rng(4), 0
    for _ in range(200):
        values = random.normal(size=(60, 4)) + random.normal(size=(60, 1))  # truth: 0 four times
        counts = draw_counts(random, 60, 400)
        family = studentised_intervals(values.mean(axis=0), (counts @ values).T / 60, 0.9)
        covered += bool(((family.simultaneous_low <= 0) & (family.simultaneous_high >= 0)).all())
    # 200 trials at 90 %: three standard errors are 6.4 points.
    assert 0.836 <= covered / 200 <= 0.964


@pytest.mark.parametrize("truth", [0.005, 0.02, 0.98])
def test_intervals_near_the_ends_cover_the_truth(truth: float) -> None:
    """Draws of 80 samples of which none or few are hits do not reach a truth that is not 0."""
    random, covered, percentiles = np.random.default_rng(1), 0, 0
    for _ in range(400):
        hits = random.binomial(80, truth)
        draws = random.binomial(80, hits / 80, 400) / 80
        interval = logit_basic_interval(hits / 80, draws, 0.95, margin=1 / 160)
        covered += interval.low <= truth <= interval.high
        low, high = np.quantile(draws, [0.025, 0.975])
        percentiles += low <= truth <= high
    assert covered / 400 >= 0.93 and percentiles / 400 < 0.9


def test_an_interval_at_an_end_is_as_wide_as_its_samples_say() -> None:
    few, many = (
        logit_basic_interval(1.0, np.ones(9), 0.95, margin=0.001, trials=trials)
        for trials in (20, 200)
    )
    assert few.low == pytest.approx(0.839, abs=1e-3) and few.high == 1
    assert many.low == pytest.approx(0.981, abs=1e-3)


@pytest.mark.parametrize("share", [0.0, 0.03, 0.5])
def test_share_intervals_are_wilsons_and_know_of_clusters(share: float) -> None:
    hits = (np.arange(200) < 200 * share).astype(float)
    found = share_interval(hits, np.ones(200), 0.95)
    expected = proportion_ci(int(hits.sum()), 200)
    assert found[1:] == pytest.approx(expected, abs=2e-3)
    # Ten samples of one text that agree are one sample.
    copies = share_interval(10 * hits, np.full(200, 10.0), 0.95)
    assert copies == pytest.approx(found, abs=2e-3)


def test_mean_intervals_are_students_where_clusters_have_one_sample() -> None:
    values = np.random.default_rng(0).normal(size=9)
    assert mean_interval(values, np.ones(9), 0.9) == pytest.approx(t_interval(values, 0.9))
    assert np.isnan(mean_interval(values[:1], np.ones(1), 0.9).low)


def proportion_ci(hits: int, n: int) -> tuple[float, float]:
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return interval.low, interval.high

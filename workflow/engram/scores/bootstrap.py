"""The bootstrap: how often each unit is drawn, and interval ends from the draws.

Every interval of Engram comes from here. *Units* are what is independent of one another: content
groups, CNNs, models. Samples of one content group hold the same text, so whole groups are drawn.
Where several kinds of units vary, each is drawn independently of the others (Owen, The pigeonhole
bootstrap, 2007): the interval then covers other texts *and* another training. This counts the noise
of one CNN on one text three times, so with few CNNs the interval is rather too wide.

Kinds of intervals:

- *percentile*, for means and shares;
- *basic on the logit scale*, for scores in [0, 1] whose estimate is biased. The percentile interval
  fails for a minimum over classes: the estimate is too low (the worst class is partly the
  unluckiest), and resampling lowers it once more. In simulations with three classes of 80 samples,
  a nominal 95 % percentile interval of the minimum F1 covered the truth in 82 to 89 % of the cases.
  The basic interval mirrors the draws at the estimate, which removes the bias; the logit scale
  keeps it within [0, 1]. It covered the truth in 97 to 98 % of 1,000 simulated studies with four
  CNNs, and in 96 to 97 % with sixteen (`perf/interval_coverage.py`, docs/statistics.md);
- *normal*, from the standard deviation of the draws, where the draws are noisier than the estimate;
- *studentised*, for families of differences whose intervals must hold together (max-t; Westfall and
  Young, Resampling-Based Multiple Testing, 1993);
- *Wilson*, for a share, with the effective number of samples where they come in clusters;
- *Student's t*, for a mean over so few units (seeds, models) that drawing them is hopeless; *on the
  logit scale* for a score in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit, ndtri, stdtrit

WEIGHTS_IN_MEMORY = 4_000_000
"""Weights (resamples × units) that `draw_in_parts` keeps in memory at a time."""


class Interval(NamedTuple):
    """An estimate with the ends of its interval."""

    value: float
    low: float
    high: float

    def columns(self, name: str) -> dict[str, float]:
        """Return the columns `<name>`, `<name>_low` and `<name>_high` of a table."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


# --- draws


def draw_counts(
    generator: np.random.Generator, units: int, resamples: int, *, estimate: bool = False
) -> np.ndarray:
    """Draw U of U units with replacement, R times.

    Args:
        generator: source of the draws.
        units: U.
        resamples: R.
        estimate: put a first row of ones before the draws, which gives the estimate itself.

    Returns:
        How often each unit is drawn, float64 (R, U), or (1 + R, U) with the estimate. Rows sum to
        U.
    """
    counts = generator.multinomial(units, np.full(units, 1 / units), resamples).astype(np.float64)
    return np.concatenate([np.ones((1, units)), counts]) if estimate else counts


def draw_in_parts(
    generator: np.random.Generator, units: int, resamples: int, width: int = 0
) -> Iterator[tuple[slice, np.ndarray]]:
    """Draw as `draw_counts` does, a part of the resamples at a time, so that memory is bounded.

    Args:
        generator: source of the draws; its draws do not depend on the size of the parts.
        units: U.
        resamples: R.
        width: values per resample that the caller makes of the counts, where these are more than U.

    Yields:
        The resamples of the part as a slice of 0 … R, and their counts, float64 (r, U).
    """
    size = max(1, WEIGHTS_IN_MEMORY // max(units, width, 1))
    for start in range(0, resamples, size):
        part = slice(start, min(start + size, resamples))
        yield part, draw_counts(generator, units, part.stop - part.start)


def draw_kinds(
    generator: np.random.Generator, multiplicity: np.ndarray, resamples: int
) -> np.ndarray:
    """Draw as `draw_counts` does, of units of which many are alike.

    Args:
        generator: source of the draws.
        multiplicity: units of each kind, int (X,).
        resamples: R.

    Returns:
        How often units of each kind are drawn, float64 (R, X).
    """
    units = int(multiplicity.sum())
    return generator.multinomial(units, multiplicity / units, resamples).astype(np.float64)


def pigeonhole_shares(
    generator: np.random.Generator, cnns: int, groups: int, resamples: int
) -> np.ndarray:
    """Draw CNNs and groups independently of each other.

    Returns:
        Weights of every CNN and group, float64 (1 + R, C, G). Each resample sums to 1; the first
        has equal weights and gives the estimate itself.
    """
    of_cnns = draw_counts(generator, cnns, resamples, estimate=True) / cnns
    of_groups = draw_counts(generator, groups, resamples, estimate=True) / groups
    return of_cnns[:, :, None] * of_groups[:, None, :]


def cluster_sums(values: np.ndarray, cluster: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum the values of samples (n, X) over the clusters that they belong to, (n,).

    Returns:
        The sums, float64 (G, X), and the number of samples per cluster, float64 (G,), in the order
        in which clusters first occur.
    """
    number, names = pd.factorize(cluster)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, number, values)
    return sums, np.bincount(number).astype(np.float64)


def cluster_means(counts: np.ndarray, sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return means over the samples of drawn clusters, (R, X).

    Args:
        counts: how often each cluster is drawn, (R, G).
        sums: sum of the values over each cluster, (G, X).
        sizes: samples per cluster, (G,).
    """
    return (counts @ sums) / (counts @ sizes)[:, None]


# --- interval ends


def percentile_ends(
    draws: np.ndarray, confidence: float, *, discrete: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper percentiles of draws (R, …), each (…).

    Args:
        draws: along the first axis.
        confidence: nominal coverage.
        discrete: take the nearest drawn value further out, for ranks and counts, instead of
            interpolating between two.
    """
    tail = (1 - confidence) / 2
    if discrete:
        return (
            np.quantile(draws, tail, axis=0, method="lower"),
            np.quantile(draws, 1 - tail, axis=0, method="higher"),
        )
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return low, high


def percentile_interval(value: float, draws: np.ndarray, confidence: float) -> Interval:
    """Return an estimate with the percentiles of its draws, (R,)."""
    low, high = percentile_ends(draws, confidence)
    return Interval(float(value), float(low), float(high))


def mirror(value: float, draws: np.ndarray, margin: float) -> np.ndarray:
    """Mirror draws of a score in [0, 1] at its value on the logit scale.

    A draw shows how far an estimate is from what it estimates; mirroring subtracts that distance
    from the estimate.

    Args:
        value: the estimate.
        draws: of any shape.
        margin: values closer to 0 or 1 than this count as that far away.
    """
    inside = np.clip(draws, margin, 1 - margin)
    return expit(2 * logit(np.clip(value, margin, 1 - margin)) - logit(inside))


def logit_basic_interval(
    value: float,
    draws: np.ndarray,
    confidence: float,
    margin: float,
    trials: float | None = None,
) -> Interval:
    """Return the basic (reverse percentile) interval of a score in [0, 1] on the logit scale.

    The interval always includes the value; it is a point where no draw differs from a value between
    0 and 1. Where a percentile of the draws reaches the end of the scale (a class that is hardly
    ever predicted, or always), there is nothing to mirror, and draws cannot show what was not
    sampled: percentiles alone then cover the truth in 82 to 89 % of nominal 95. The interval is
    widened to Wilson's, with as many samples as the draws' variance says, at most `trials`.

    Args:
        value: the estimate.
        draws: (R,).
        confidence: nominal coverage.
        margin: half a sample as a share of all samples; values closer to 0 or 1 count as that far
            away.
        trials: samples behind the value, those of the smallest class for a minimum; as many as
            `margin` says unless given.
    """
    inside = 0 < value < 1
    if (draws == value).all() and inside:
        return Interval(value, value, value)
    low, high = percentile_ends(draws, confidence)
    if low > margin and high < 1 - margin:
        low, high = mirror(value, np.array([high, low]), margin)
        return Interval(value, min(value, float(low)), max(value, float(high)))
    most = 1 / (2 * margin) if trials is None else trials
    effective = value * (1 - value) / draws.var() if inside else most
    wilson = wilson_interval(value, min(most, max(1.0, effective)), confidence)
    return Interval(value, min(wilson.low, float(low)), max(wilson.high, float(high)))


def normal_interval(
    value: float,
    draws: np.ndarray,
    confidence: float,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Interval:
    """Return an interval around an estimate from the standard deviation of its draws, (R,).

    For statistics whose draws are noisier than the estimate, so that their percentiles would miss
    it. Needs fewer draws than percentiles.

    Args:
        value: the estimate.
        draws: (R,).
        confidence: nominal coverage.
        limits: least and greatest possible value, at which the ends are cut.
    """
    half = ndtri((1 + confidence) / 2) * draws.std(ddof=1)
    return Interval(
        float(value), float(max(limits[0], value - half)), float(min(limits[1], value + half))
    )


def t_interval(values: np.ndarray, confidence: float) -> Interval:
    """Return the mean of a few independent units and its interval by Student's t.

    Args:
        values: one per unit, (U,).
        confidence: nominal coverage.

    Returns:
        Mean and ends; NaN as ends for fewer than two units.
    """
    units, mean = len(values), float(np.mean(values))
    if units < 2:
        return Interval(mean, np.nan, np.nan)
    error = np.std(values, ddof=1) / np.sqrt(units)
    half = float(stdtrit(units - 1, (1 + confidence) / 2) * error)
    return Interval(mean, mean - half, mean + half)


def mean_interval(sums: np.ndarray, sizes: np.ndarray, confidence: float) -> Interval:
    """Return a mean over samples and its interval over clusters, by Student's t.

    The standard error is that of the cluster sums around the mean (a ratio estimator), with as many
    degrees of freedom as clusters less one.

    Args:
        sums: of the values over each cluster, (G,).
        sizes: samples per cluster, (G,).
        confidence: nominal coverage.

    Returns:
        NaN as ends for fewer than two clusters.
    """
    value = float(sums.sum() / sizes.sum())
    if len(sums) < 2:
        return Interval(value, np.nan, np.nan)
    half = float(stdtrit(len(sums) - 1, (1 + confidence) / 2)) * _cluster_error(sums, sizes)
    return Interval(value, value - half, value + half)


def share_interval(hits: np.ndarray, sizes: np.ndarray, confidence: float) -> Interval:
    """Return a share of samples and its interval over clusters, by Wilson.

    The number of trials is the effective one: as many independent samples as would have the
    cluster-robust standard error. Where all samples agree that error is 0, and every cluster counts
    as one trial. The interval never ends at the share itself, also at 0 and 1.

    Args:
        hits: per cluster, (G,).
        sizes: samples per cluster, (G,).
        confidence: nominal coverage.

    Returns:
        NaN as ends without a cluster.
    """
    if not len(sizes):
        return Interval(np.nan, np.nan, np.nan)
    value = float(hits.sum() / sizes.sum())
    error = _cluster_error(hits, sizes) if len(hits) > 1 else 0.0
    trials = float(len(sizes))
    if error > 0 and 0 < value < 1:
        trials = min(value * (1 - value) / error**2, float(sizes.sum()))
    return wilson_interval(value, trials, confidence)


def wilson_interval(value: float, trials: float, confidence: float) -> Interval:
    """Return a share with Wilson's interval.

    Args:
        value: the share.
        trials: independent samples behind it; need not be whole.
        confidence: nominal coverage.
    """
    square = float(ndtri((1 + confidence) / 2)) ** 2
    center = (value + square / (2 * trials)) / (1 + square / trials)
    spread = value * (1 - value) / trials + square / (4 * trials**2)
    half = np.sqrt(square * spread) / (1 + square / trials)
    low, high = max(0.0, center - half), min(1.0, center + half)
    return Interval(value, min(value, float(low)), max(value, float(high)))


def _cluster_error(sums: np.ndarray, sizes: np.ndarray) -> float:
    """Return the standard error of a ratio of sums over G >= 2 clusters."""
    clusters = len(sums)
    residual = sums - sums.sum() / sizes.sum() * sizes
    return float(np.sqrt(clusters / (clusters - 1) * (residual**2).sum()) / sizes.sum())


def logit_t_interval(
    value: float, error: float, freedom: float, confidence: float, margin: float
) -> Interval:
    """Return an interval of a score in [0, 1] by Student's t on the logit scale.

    Args:
        value: the estimate.
        error: its standard error, on the scale of the value.
        freedom: degrees of freedom of the error.
        confidence: nominal coverage.
        margin: values closer to 0 or 1 than this count as that far away.

    Returns:
        NaN as ends without a degree of freedom; the interval always includes the value.
    """
    if not freedom >= 1 or not np.isfinite(error):
        return Interval(value, np.nan, np.nan)
    inside = np.clip(value, margin, 1 - margin)
    half = float(stdtrit(freedom, (1 + confidence) / 2) * error / (inside * (1 - inside)))
    low, high = expit(logit(inside) + np.array([-half, half]))
    return Interval(value, min(value, float(low)), max(value, float(high)))


@dataclass(frozen=True)
class StudentisedIntervals:
    """Intervals and tests of a family of M estimates, (M,) each; the null hypothesis is 0."""

    low: np.ndarray
    """Lower ends of intervals that hold one at a time."""
    high: np.ndarray
    simultaneous_low: np.ndarray
    """Lower ends of intervals that hold together."""
    simultaneous_high: np.ndarray
    p: np.ndarray
    """Two-sided, of each estimate alone."""
    p_adjusted: np.ndarray
    """Chance that the largest |t| of the family is as large if all estimates are of 0."""


def studentised_intervals(
    values: np.ndarray, draws: np.ndarray, confidence: float
) -> StudentisedIntervals:
    """Return intervals of a family of estimates that were resampled together.

    Each estimate is divided by the standard deviation of its draws. The quantile of the largest
    |t| over the family gives one critical value for all of it (single-step max-t; Westfall and
    Young, 1993). Draws estimate the bias of an estimate as well as its spread, and the intervals
    are centred on the estimate without the bias; they always include the estimate.

    Args:
        values: the estimates, (M,).
        draws: (M, R).
        confidence: of the single and of the simultaneous intervals.
    """
    center = draws.mean(axis=1)
    spread = draws.std(axis=1, ddof=1)
    spread = np.where(spread > 0, spread, np.inf)  # nothing varies: |t| is 0, the interval a point
    scaled = np.abs(draws - center[:, None]) / spread[:, None]  # (M, R)
    unbiased = 2 * values - center
    t = np.abs(unbiased) / spread
    largest = scaled.max(axis=0)  # (R,)
    width = np.where(np.isinf(spread), 0, spread)
    single = np.quantile(scaled, confidence, axis=1) * width
    together = np.quantile(largest, confidence) * width
    resamples = draws.shape[1]
    return StudentisedIntervals(
        low=np.minimum(values, unbiased - single),
        high=np.maximum(values, unbiased + single),
        simultaneous_low=np.minimum(values, unbiased - together),
        simultaneous_high=np.maximum(values, unbiased + together),
        p=(1 + (scaled >= t[:, None]).sum(axis=1)) / (1 + resamples),
        p_adjusted=(1 + (largest >= t[:, None]).sum(axis=1)) / (1 + resamples),
    )

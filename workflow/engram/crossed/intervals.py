"""Intervals of crossed exposures: over clusters of windows, and over bases.

Shares are means over windows, and windows of one cluster are not independent: the error comes from
sums over clusters of what each window contributes to the estimate (its linearised influence; the
"sandwich" of Liang and Zeger, Longitudinal data analysis using generalized linear models, 1986).
The ends are Student's t on the logit scale. With ten clusters an arm, percentiles of a cluster
bootstrap cover the truth in 86 to 92 % of nominal 95, these ends in 94 to 98 %
(`perf/crossed_coverage.py`).

A claim about models has the base as its unit: pairs are averaged within a base, and the error is
that of the mean over bases. All bases show the same windows, so that their errors have a part in
common, which the spread between bases cannot show; it is added: the mean covariance of two bases'
estimates under a joint redraw of the clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit, stdtrit

from engram.scores.bootstrap import Interval, cluster_sums, logit_t_interval

FEW = 5
"""Hits or misses below which the spread of a sample is not trusted alone."""


@dataclass(frozen=True)
class ClusteredShare:
    """A share estimated on clustered windows."""

    value: float
    influence: pd.Series
    """What each cluster adds to the error of the estimate, by cluster; sums to 0."""
    freedom: float
    """Degrees of freedom: clusters − groups of windows with their own mean."""
    least_variance: float
    """Variance that is assumed at least, where hits or misses are few."""
    unseen_variance: float
    """Variance of groups whose windows are all hits or all misses, which shows no spread."""
    windows: int
    closest: float = 0.0
    """How near to 0 or 1 the estimate can be taken for, given groups without a hit or a miss."""

    @property
    def error(self) -> float:
        """Standard error."""
        if self.freedom < 1:
            return float("nan")
        clusters = self.freedom / max(1, len(self.influence))
        spread = float(np.square(self.influence).sum()) / clusters + self.unseen_variance
        return float(np.sqrt(max(spread, self.least_variance)))

    @property
    def margin(self) -> float:
        """How near to 0 or 1 an interval is centred: half a window as a share of all, or more."""
        return max(0.5 / max(1, self.windows), self.closest)

    def interval(self, confidence: float) -> Interval:
        """Return the estimate with its interval over clusters."""
        return logit_t_interval(self.value, self.error, self.freedom, confidence, self.margin)


def clustered_share(
    values: np.ndarray,
    cluster: np.ndarray,
    group: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> ClusteredShare:
    """Return the weighted mean of values in [0, 1] with what its interval needs.

    Args:
        values: of windows, (n,).
        cluster: that each belongs to, (n,).
        group: windows whose mean is its own parameter, such as arm and stratum, (n,); the
            estimate is the mean over groups with the summed weights of each. None: one group.
        weight: of windows, (n,); equal unless given. Windows of weight 0 count for nothing.
    """
    weight = np.ones(len(values)) if weight is None else np.asarray(weight, float)
    used = weight > 0
    values, cluster, weight = values[used], cluster[used], weight[used]
    group = np.zeros(len(values)) if group is None else np.asarray(group)[used]
    number, names = pd.factorize(group)
    if not len(values):
        return ClusteredShare(np.nan, pd.Series(dtype=float), 0, 0, 0, 0)
    share = weight / weight.sum()
    mean = np.bincount(number, share * values) / np.bincount(number, share)  # (groups,)
    residual = share * (values - mean[number])
    sums, _ = cluster_sums(residual[:, None], cluster)
    clusters = pd.unique(cluster)
    estimate = min(1.0, float(share @ values))
    hits, misses = values.sum(), (1 - values).sum()
    effective = 1 / np.square(share).sum()
    floor = _binomial_variance(estimate, effective) if min(hits, misses) < FEW else 0.0
    unseen = closest = 0.0
    for own in range(len(names)):
        of_group = share[number == own]
        if len(names) > 1 and np.ptp(values[number == own]) == 0:
            windows = of_group.sum() ** 2 / np.square(of_group).sum()
            unseen += of_group.sum() ** 2 * _binomial_variance(mean[own], windows)
            likely = (mean[own] * windows + 0.5) / (windows + 1)
            closest += of_group.sum() * abs(likely - mean[own])
    influence = pd.Series(sums[:, 0], index=clusters)
    freedom = len(clusters) - len(names)
    return ClusteredShare(estimate, influence, freedom, floor, unseen, len(values), closest)


def _binomial_variance(share: float, windows: float) -> float:
    """Return the variance of a share of independent windows, half a hit and half a miss added."""
    likely = (share * windows + 0.5) / (windows + 1)
    return float(likely * (1 - likely) / windows)


def difference_interval(
    one: np.ndarray, two: np.ndarray, cluster: np.ndarray, confidence: float
) -> Interval:
    """Return the difference of two shares on the same windows, one − two, and its interval over
    clusters.

    The ends come from those of both shares and the correlation of their errors (method 10 of
    Newcombe, Improved confidence intervals for the difference between binomial proportions based on
    paired data, 1998; Zou and Donner, 2008), and so hold near 0 and 1 too.

    Args:
        one: 0 or 1 for every window, (n,).
        two: likewise, of the same windows under another condition.
        cluster: that each window belongs to, (n,).
        confidence: nominal coverage.
    """
    shares = [clustered_share(np.asarray(values, float), cluster) for values in (one, two)]
    a, b = shares[0].influence.to_numpy(), shares[1].influence.to_numpy()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    correlation = float(a @ b) / norm if norm > 0 else 0.0
    (p, p_low, p_high), (q, q_low, q_high) = (share.interval(confidence) for share in shares)
    below = _joined(p - p_low, q_high - q, correlation)
    above = _joined(p_high - p, q - q_low, correlation)
    return Interval(p - q, max(-1.0, p - q - below), min(1.0, p - q + above))


def _joined(a: float, b: float, correlation: float) -> float:
    """Return the length of the difference of two deviations of a given correlation."""
    return float(np.sqrt(max(0.0, a * a - 2 * correlation * a * b + b * b)))


def over_windows(pairs: Sequence[ClusteredShare], confidence: float) -> Interval:
    """Return the mean over pairs of models, and its interval over the clusters that they share: of
    these models, other windows.
    """
    return _mean_share(pairs).interval(confidence)


def over_bases(bases: Sequence[Sequence[ClusteredShare]], confidence: float) -> Interval:
    """Return the mean over bases and its interval: other bases, other windows.

    Args:
        bases: the shares of every base's pairs.
        confidence: nominal coverage.

    Returns:
        the mean on the logit scale, as a share; NaN as ends for a single base.
    """
    means = [_mean_share(pairs) for pairs in bases]
    inside = np.array([np.clip(mean.value, mean.margin, 1 - mean.margin) for mean in means])
    slopes = 1 / (inside * (1 - inside))
    table = pd.concat([mean.influence for mean in means], axis=1).fillna(0) * slopes
    freedom = min(mean.freedom for mean in means)
    center, low, high = mean_over_bases(logit(inside), table, freedom, confidence)
    return Interval(float(expit(center)), float(expit(low)), float(expit(high)))


def mean_over_bases(
    values: np.ndarray, influence: pd.DataFrame, freedom: float, confidence: float
) -> Interval:
    """Return the mean of unbounded values of B bases and its interval: other bases, other windows.

    Args:
        values: of the bases, (B,).
        influence: what each cluster of windows adds to the errors of these values, (clusters, B).
        freedom: degrees of freedom of these errors.
        confidence: nominal coverage.

    Returns:
        the mean; NaN as ends for a single base.
    """
    center, count = float(np.mean(values)), len(values)
    if count < 2:
        return Interval(center, np.nan, np.nan)
    between = float(np.var(values, ddof=1)) / count
    covariance = influence.to_numpy().T @ influence.to_numpy()  # (B, B)
    common = max(0.0, float((covariance.sum() - np.trace(covariance)) / (count * (count - 1))))
    # Each part with the quantile of its degrees of freedom (Cochran, 1964): safer for three
    # bases than Satterthwaite's.
    quantiles = stdtrit(np.array([count - 1, max(freedom, 1)]), (1 + confidence) / 2)
    half = float(np.sqrt(quantiles**2 @ np.array([between, common])))
    return Interval(center, center - half, center + half)


def _mean_share(pairs: Sequence[ClusteredShare]) -> ClusteredShare:
    """Return the mean over pairs of models that show the same clusters."""
    table = pd.concat([pair.influence for pair in pairs], axis=1).fillna(0)
    least, unseen = (
        sum(getattr(pair, name) for pair in pairs) / len(pairs) ** 2
        for name in ("least_variance", "unseen_variance")
    )
    return ClusteredShare(
        float(np.mean([pair.value for pair in pairs])),
        table.mean(axis=1),
        min(pair.freedom for pair in pairs) + len(table) - min(len(p.influence) for p in pairs),
        least,
        unseen,
        sum(pair.windows for pair in pairs),
        float(np.mean([pair.closest for pair in pairs])),
    )

"""Memorization against model size: a rate per model, a line per family over the logarithm of size.

(P) The rate grows log-linearly with size in every family; scores are grouped as full, half and none
(Chen, Han and Miyao, arXiv 2603.21658, who give no intervals). (U) Intervals of the slopes and a
test of whether families share one.

There are two questions, and two kinds of intervals and tests:

* *of these models, on other texts*: content groups are drawn (bootstrap), each time the same ones
  for all models that have them;
* *of other models of such families*: the models' distances from the line are the noise (Student's t
  and the F-test of an analysis of covariance); this needs three sizes or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.stats import chi2
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution

from engram.io.errors import EngramError
from engram.scores.bootstrap import draw_in_parts, percentile_ends, share_interval

COLUMNS = ("family", "model", "parameters", "content_group")
AXES = ("parameters", "step")
"""What rates are fitted over: size, or the training step of checkpoints."""
LINE = (
    *("family", "models", "intercept", "slope", "slope_low", "slope_high"),
    *("slope_models_low", "slope_models_high", "r_squared"),
)
"""Columns of `SizeFits.families`."""
BUCKETS = ("full", "half", "none")


def bucket(score: np.ndarray, half: tuple[float, float] = (0.4, 0.6)) -> np.ndarray:
    """Return the bucket of each memorization score: `full` (1), `half` (within a band) or `none`
    (0), and None for other scores, object (n,).

    Args:
        score: fraction of the suffix that greedy decoding reproduces, position by position, (n,).
        half: least and greatest score of `half`; the paper's band is not known.

    Raises:
        EngramError: a band that holds 0 or 1, or is reversed.
    """
    low, high = half
    if not 0 < low <= high < 1:
        raise EngramError(f"half: {half}; give least and greatest score, between 0 and 1")
    names = np.full(len(score), None, object)
    for name, chosen in zip(
        BUCKETS, (score == 1, (score >= low) & (score <= high), score == 0), strict=True
    ):
        names[chosen] = name
    return names


@dataclass(frozen=True)
class EqualSlopes:
    """Whether F families share one slope."""

    families: int
    """F."""
    slope: float
    """The shared slope: the mean of the families' slopes that varies least over texts."""
    slope_low: float
    """Lower end of its percentile interval over texts."""
    slope_high: float
    """Upper end."""
    wald: float
    """Distance of the slopes from one another, in units of their spread over texts; χ² with F - 1
    degrees of freedom if these models' true slopes are equal."""
    p_texts: float
    """Of as large a distance by χ², of these models on other texts."""
    p_bootstrap: float
    """The same from the draws themselves, without χ²."""
    f: float
    """F statistic of the analysis of covariance, whose units are models; NaN without a degree of
    freedom."""
    f_freedom: tuple[int, int]
    """Its degrees of freedom."""
    p_models: float
    """Of as large a statistic, of other models of such families."""


@dataclass(frozen=True)
class SizeFits:
    """Rates of models, and the lines of their families."""

    models: pd.DataFrame
    """A row per model: family, model, parameters, step where it is the axis, n, groups, rate,
    rate_low, rate_high (over content groups: Wilson's where values are 0 and 1, else
    percentiles)."""
    families: pd.DataFrame
    """A row per family: family, models; intercept (rate at one parameter), slope (change of the
    rate per tenfold size) with slope_low and slope_high (percentile interval over content groups)
    and slope_models_low and slope_models_high (Student's t over models; NaN for two sizes);
    r_squared. A family of one model has no line: NaN."""
    equal: EqualSlopes | None
    """The comparison of slopes; None for fewer than two lines."""
    differences: pd.DataFrame
    """A row per two families with a line: first, second, difference (slope of the first minus that
    of the second) with low and high (percentile interval over content groups)."""


def fit_sizes(
    table: pd.DataFrame, *, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> SizeFits:
    """Do as `fit_measures` with the column `value` alone."""
    options: dict[str, Any] = {"resamples": resamples, "confidence": confidence, "seed": seed}
    return fit_measures(table, ["value"], **options)["value"]


def fit_measures(
    table: pd.DataFrame,
    measures: Sequence[str],
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    axis: str = "parameters",
) -> dict[str, SizeFits]:
    """Fit a line of the rate over the logarithm of size to every family, measure by measure.

    Args:
        table: a row per sequence and model: family, model, parameters (number of weights),
            content_group (equal where texts are, across models and families), and the measures.
        measures: columns whose means are the rates: extracted, a memorization score, or membership
            in a class as 0 and 1.
        resamples: bootstrap draws of content groups, the same for all measures.
        confidence: nominal coverage.
        seed: of the draws.
        axis: column whose logarithm to base 10 a line is over, of `AXES`. Checkpoints of one
            training (`step`) are not independent models, so nothing is said of other models.

    Returns:
        by measure.

    Raises:
        EngramError: a missing column, values that are not finite, a model of two sizes, or a family
            of several models and one size.
    """
    wanted = (*dict.fromkeys([*COLUMNS, axis]), *measures)
    if missing := [name for name in wanted if name not in table]:
        raise EngramError(f"table: no column {missing[0]}; give {', '.join(wanted)}")
    values = table[list(measures)].to_numpy(np.float64)  # (n, K)
    if not np.isfinite(values).all():
        raise EngramError("table: a value is not finite; leave such sequences out")
    models = (
        table.groupby(["family", "model"], sort=False)
        .agg(
            parameters=("parameters", "first"),
            **({} if axis == "parameters" else {axis: (axis, "first")}),
            sizes=(axis, "nunique"),
            n=("parameters", "size"),
            groups=("content_group", "nunique"),
        )
        .reset_index()
    )
    _check(models, axis)
    models = models.drop(columns="sizes")
    number = _numbers(table, models)
    unit, units = pd.factorize(table["content_group"])
    shape = (len(units), len(models))
    sizes, *sums = (
        csr_array((value, (unit, number)), shape)  # equal places are added up
        for value in (np.ones(len(table)), *values.T)
    )
    drawn = _drawn_rates(sizes, sums, resamples, seed)  # K times (R, M)
    fits = {}
    for measure, sum_, value, draws in zip(measures, sums, values.T, drawn, strict=True):
        rates = sum_.sum(0) / sizes.sum(0)  # (M,)
        low, high = percentile_ends(draws, confidence)
        if np.isin(value, (0, 1)).all():
            low, high = _share_ends(sizes, sum_, confidence)
        rated = models.assign(rate=rates, rate_low=low, rate_high=high)
        fits[measure] = _fit(rated, draws, confidence, axis)
    return fits


def _fit(models: pd.DataFrame, drawn: np.ndarray, confidence: float, axis: str) -> SizeFits:
    """Return the lines of M models' rates, whose draws are (R, M)."""
    rates = models["rate"].to_numpy()
    x = np.log10(models[axis].to_numpy(np.float64))
    single = ~models["family"].duplicated(keep=False)
    names = list(models.loc[~single, "family"].unique())
    member = np.array([models["family"] == name for name in names]).reshape(-1, len(x))  # (F, M)
    operator = _slope_operator(x, member)  # (F, M): slopes are linear in the rates
    slopes, slope_draws = operator @ rates, drawn @ operator.T  # (F,), (R, F)
    ends = percentile_ends(slope_draws, confidence)
    rows = []
    for position, name in enumerate(names):
        inside = member[position]
        mean_x, mean_rate = x[inside].mean(), rates[inside].mean()
        error = rates[inside] - mean_rate - slopes[position] * (x[inside] - mean_x)
        freedom, total = int(inside.sum()) - 2, ((rates[inside] - mean_rate) ** 2).sum()
        half = np.nan
        if freedom >= 1 and axis != "step":
            variance = (error**2).sum() / freedom / ((x[inside] - mean_x) ** 2).sum()
            half = float(t_distribution.ppf((1 + confidence) / 2, freedom) * np.sqrt(variance))
        rows.append(
            {
                "family": name,
                "models": int(inside.sum()),
                "intercept": mean_rate - slopes[position] * mean_x,
                "slope": slopes[position],
                "slope_low": ends[0][position],
                "slope_high": ends[1][position],
                "slope_models_low": slopes[position] - half,
                "slope_models_high": slopes[position] + half,
                "r_squared": 1 - (error**2).sum() / total if total > 0 else np.nan,
            }
        )
    found = {row["family"]: row for row in rows}
    without = dict.fromkeys(LINE, np.nan) | {"models": 1}
    families = pd.DataFrame(
        [found.get(name, without | {"family": name}) for name in models["family"].unique()]
    )
    equal = None
    if len(names) > 1:
        equal = _equal_slopes(x, rates, member, slopes, slope_draws, confidence)
        if axis == "step":
            equal = replace(equal, f=np.nan, p_models=np.nan)
    differences = _differences(names, slopes, slope_draws, confidence)
    return SizeFits(models, families, equal, differences)


def _differences(
    names: Sequence[str], slopes: np.ndarray, draws: np.ndarray, confidence: float
) -> pd.DataFrame:
    """Return the differences of the slopes of every two of F families.

    Args:
        names: of the families.
        slopes: (F,).
        draws: (R, F), of all families from the same texts.
        confidence: nominal coverage.
    """
    rows = []
    for first, second in combinations(range(len(names)), 2):
        low, high = percentile_ends(draws[:, first] - draws[:, second], confidence)
        rows.append((names[first], names[second], slopes[first] - slopes[second], low, high))
    return pd.DataFrame(rows, columns=["first", "second", "difference", "low", "high"])


def _check(models: pd.DataFrame, axis: str) -> None:
    """Refuse models without a size, and families of several models without a line."""
    row: Any
    for row in models.itertuples():
        size = getattr(row, axis)
        if row.sizes != 1 or not size > 0:
            raise EngramError(
                f"model {row.model} of family {row.family}: {axis} {size}, {row.sizes} different "
                f"values; give its one {'step' if axis == 'step' else 'number of weights'}"
            )
    for name, of_family in models.groupby("family", sort=False)[axis]:
        if of_family.nunique() < min(2, len(of_family)):
            raise EngramError(
                f"family {name}: {len(of_family)} models of one size ({axis}); a line needs two "
                f"sizes or more"
            )


def _numbers(table: pd.DataFrame, models: pd.DataFrame) -> np.ndarray:
    """Return the number of the model of each row, (n,)."""
    known = pd.MultiIndex.from_frame(models[["family", "model"]])
    return known.get_indexer(pd.MultiIndex.from_frame(table[["family", "model"]]))


def _drawn_rates(
    sizes: csr_array, sums: Sequence[csr_array], resamples: int, seed: int
) -> list[np.ndarray]:
    """Return the rates of models after drawing content groups, (R, M) for every measure.

    Args:
        sizes: sequences per content group and model, (U, M).
        sums: sums of the values of each measure, likewise.
        resamples: R.
        seed: of the draws.
    """
    units, models = sizes.shape
    of_all = np.asarray(sizes.sum(0))
    drawn = [np.empty((resamples, models)) for _ in sums]
    generator = np.random.default_rng(seed)
    for part, counts in draw_in_parts(generator, units, resamples, width=models):
        total = counts @ sizes
        for rates, of_measure in zip(drawn, sums, strict=True):
            # A draw without any text of a model keeps the model's rate.
            own = of_measure.sum(0) / of_all
            rates[part] = np.where(total > 0, counts @ of_measure / np.maximum(total, 1), own)
    return drawn


def _share_ends(
    sizes: csr_array, hits: csr_array, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of Wilson's intervals of M shares over content groups, (M,) each."""
    ends = []
    for of_model, own in zip(sizes.tocsc().T, hits.tocsc().T, strict=True):
        size = of_model.toarray().ravel()
        interval = share_interval(own.toarray().ravel()[size > 0], size[size > 0], confidence)
        ends.append((interval.low, interval.high))
    low, high = np.array(ends).T
    return low, high


def _slope_operator(x: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Return the matrix (F, M) from rates to the least-squares slopes of families."""
    rows = []
    for inside in member:
        centred = np.where(inside, x - x[inside].mean(), 0)
        rows.append(centred / (centred**2).sum())
    return np.array(rows).reshape(-1, len(x))


def _equal_slopes(
    x: np.ndarray,
    rates: np.ndarray,
    member: np.ndarray,
    slopes: np.ndarray,
    draws: np.ndarray,
    confidence: float,
) -> EqualSlopes:
    """Compare the slopes of F families.

    Args:
        x: log10 sizes (M,).
        rates: (M,).
        member: which models a family has, bool (F, M).
        slopes: (F,).
        draws: slopes after drawing texts, (R, F).
        confidence: nominal coverage.
    """
    families = len(slopes)
    covariance = np.cov(draws, rowvar=False)  # (F, F)
    precision = np.linalg.pinv(covariance)
    weights = precision.sum(0)
    weights = weights / weights.sum() if weights.sum() > 0 else np.full(families, 1 / families)
    shared, shared_draws = float(weights @ slopes), draws @ weights
    low, high = percentile_ends(shared_draws, confidence)
    contrast = np.eye(families)[1:] - np.eye(families)[0]  # (F - 1, F)
    middle = np.linalg.pinv(contrast @ covariance @ contrast.T)
    apart = contrast @ slopes
    wald = float(apart @ middle @ apart)
    noise = (draws - slopes) @ contrast.T  # (R, F - 1)
    drawn = np.einsum("ri,ij,rj->r", noise, middle, noise)
    # Analysis of covariance: one slope for all families, against one each.
    centred_x, centred = np.zeros(len(x)), np.zeros(len(x))
    for inside in member:
        centred_x[inside], centred[inside] = (
            x[inside] - x[inside].mean(),
            rates[inside] - rates[inside].mean(),
        )
    common = (centred_x @ centred) / (centred_x @ centred_x)
    together = float(((centred - common * centred_x) ** 2).sum())
    own = float(((centred - (slopes @ member) * centred_x) ** 2).sum())
    freedom = (families - 1, len(x) - 2 * families)
    f = (together - own) / freedom[0] / (own / freedom[1]) if freedom[1] >= 1 and own else np.nan
    return EqualSlopes(
        families=families,
        slope=shared,
        slope_low=float(low),
        slope_high=float(high),
        wald=wald,
        p_texts=float(chi2.sf(wald, families - 1)),
        p_bootstrap=float((1 + (drawn >= wald).sum()) / (1 + len(drawn))),
        f=float(f),
        f_freedom=freedom,
        p_models=float(f_distribution.sf(f, *freedom)) if np.isfinite(f) else np.nan,
    )

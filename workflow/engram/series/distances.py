"""How far the domains of buckets and classes lie apart, and whether families share them (U).

The distance of two distributions is their Jensen-Shannon divergence in bits (Lin, 1991): what the
domain of one window says about which of two equally likely sets it is from. It is 0 for equal
distributions and 1 for disjoint ones, it is symmetric, and a domain that one set lacks needs no
smoothing, which the Kullback-Leibler divergence would.

The divergence of two *samples* is too large: by about (K - 1)(1/n + 1/m) / (8 ln 2) bits for K
domains, n and m independent windows and equal distributions, more where windows come in groups. So
each distance comes with its null, the same with the sets permuted, whose mean is this bias where
there is no difference. Draws of suffixes have the bias once more than the estimate; the interval is
centred on the estimate without it, with the standard deviation of the draws, and always includes
the estimate (`perf/distance_coverage.py`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from engram.scores.bootstrap import cluster_sums, draw_kinds, normal_interval
from engram.series.measures import SCORE, column_of
from engram.series.rates import BUCKETS
from engram.series.texts import ALL_WINDOWS

DOMAIN, SUFFIX = "domain", "suffix"
"""Columns of the windows: their domain, and a number of the suffix that is equal for all models
with the same tokens."""
FAMILIES = "families"
"""The value of `model` where families are compared."""
COLUMNS = [
    *("model", "taxonomy", "measure", "first", "second", "n_first", "n_second", "groups"),
    *("domains", "distance", "low", "high", "null_mean", "null_95", "p"),
]


@dataclass(frozen=True)
class Sets:
    """Two sets of windows, by suffix."""

    first: np.ndarray
    """Windows of the first set by suffix and domain, float64 (G, K)."""
    second: np.ndarray
    """Likewise of the second set."""
    exchangeable: np.ndarray
    """Suffixes that both sides were asked for, bool (G,): in the null, they change sides as a
    whole. The others are permuted among the sides."""


def jensen_shannon(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the Jensen-Shannon divergence of two distributions in bits, (…).

    Args:
        first: counts or shares of K domains, (…, K); not all 0.
        second: likewise.
    """
    p, q = (part / part.sum(axis=-1, keepdims=True) for part in (first, second))
    return np.maximum(_entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2, 0.0)


def distance_row(
    sets: Sets, *, resamples: int, confidence: float, seed: int
) -> dict[str, float | int]:
    """Return the distance of two sets of windows with its interval and its null.

    Args:
        sets: both with a window at least.
        resamples: draws of suffixes, and permutations.
        confidence: nominal coverage.
        seed: same seed, same draws.

    Returns:
        the columns of `COLUMNS` from `n_first` on.
    """
    generator, domains = np.random.default_rng(seed), sets.first.shape[1]
    held = np.concatenate([sets.first, sets.second], axis=1)  # (G, 2K)
    kinds, multiplicity = np.unique(held, axis=0, return_counts=True)
    drawn = draw_kinds(generator, multiplicity, resamples) @ kinds  # (R, 2K)
    sides = drawn[:, :domains], drawn[:, domains:]
    filled = (sides[0].sum(1) > 0) & (sides[1].sum(1) > 0)
    total = held.sum(0)
    value = float(jensen_shannon(total[:domains], total[domains:]))
    draws = jensen_shannon(sides[0][filled], sides[1][filled]) if filled.any() else np.ones(1)
    interval = normal_interval(2 * value - draws.mean(), draws, confidence, (0.0, 1.0))
    null = _null(sets, generator, resamples)
    above = int((null >= value - 1e-12).sum())
    return {
        "n_first": int(sets.first.sum()),
        "n_second": int(sets.second.sum()),
        "groups": len(held),
        "domains": int(((total[:domains] + total[domains:]) > 0).sum()),
        "distance": value,
        "low": min(value, interval.low),
        "high": max(value, interval.high),
        "null_mean": float(null.mean()),
        "null_95": float(np.quantile(null, 0.95)),
        "p": (1 + above) / (1 + len(null)),
    }


def distance_table(
    models: Mapping[str, pd.DataFrame],
    families: Mapping[str, str],
    measures: Sequence[tuple[str, str]],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """Compare the domains of every two buckets and classes of a model, and those of every two
    families in a bucket or class.

    Args:
        models: name → windows of `engram.series.measures.windows_of` with the columns `DOMAIN` and
            `SUFFIX`.
        families: name of a model → its family. The windows of a family's models are pooled.
        measures: as `engram.series.measures.measure_names` returns them.
        resamples: draws of suffixes, and permutations of the sets.
        confidence: nominal coverage.
        seed: of both.

    Returns:
        model (or `FAMILIES`), taxonomy, measure (bucket or class that families are compared in;
        empty within a model), first, second, n_first and n_second (windows), groups (suffixes),
        domains (that occur), distance (bits) with low and high, null_mean, null_95 and p (of the
        sets permuted). Comparisons of which a set has no window have no rows.
    """
    statistics: dict[str, Any] = {"resamples": resamples, "confidence": confidence, "seed": seed}
    rows = []
    for model, windows in models.items():
        for slug, first, second in _pairs(measures):
            one, two = (windows[windows[column_of(slug, name)] == 1] for name in (first, second))
            if sets := _sets(one, two, np.empty(0, np.int64)):
                names = {"model": model, "taxonomy": slug, "measure": ""}
                names |= {"first": first, "second": second}
                rows.append(names | distance_row(sets, **statistics))
    pooled = {
        family: pd.concat([models[name] for name in models if families[name] == family])
        for family in dict.fromkeys(families[name] for name in models)
    }
    every = [("", ALL_WINDOWS), *(measure for measure in measures if measure != ("", SCORE))]
    for first, second in combinations(pooled, 2):
        one, two = pooled[first], pooled[second]
        shared = np.intersect1d(one[SUFFIX].to_numpy(), two[SUFFIX].to_numpy())
        for slug, measure in every:
            if measure == ALL_WINDOWS:
                sets = _sets(one, two, shared)
            else:
                column = column_of(slug, measure)
                sets = _sets(one[one[column] == 1], two[two[column] == 1], shared)
            if sets:
                names = {"model": FAMILIES, "taxonomy": slug, "measure": measure}
                names |= {"first": first, "second": second}
                rows.append(names | distance_row(sets, **statistics))
    return pd.DataFrame(rows, columns=COLUMNS)


def _pairs(measures: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    """Yield every two buckets, and every two classes of a taxonomy, with the slug of the latter."""
    yield from (("", *pair) for pair in combinations(BUCKETS, 2))
    for slug in dict.fromkeys(slug for slug, _ in measures if slug):
        classes = [name for own, name in measures if own == slug]
        yield from ((slug, *pair) for pair in combinations(classes, 2))


def _sets(first: pd.DataFrame, second: pd.DataFrame, shared: np.ndarray) -> Sets | None:
    """Return two sets of windows by suffix and domain; None where one is empty."""
    if first.empty or second.empty:
        return None
    both = pd.concat([first, second])
    number, names = pd.factorize(both[DOMAIN].astype(str))
    hot = np.eye(len(names))[number]  # (n, K)
    side = np.arange(len(both)) < len(first)
    counts, _ = cluster_sums(
        np.concatenate([hot * side[:, None], hot * ~side[:, None]], axis=1), both[SUFFIX].to_numpy()
    )
    suffixes = both[SUFFIX].drop_duplicates().to_numpy()  # in the order of the sums
    return Sets(counts[:, : len(names)], counts[:, len(names) :], np.isin(suffixes, shared))


def _null(sets: Sets, generator: np.random.Generator, resamples: int) -> np.ndarray:
    """Return the divergence with the sets permuted, (R,).

    A suffix of both sides changes sides with a probability of one half. Of the others, what each
    side has of one suffix is a unit, and as many units as before are on either side.
    """
    domains = sets.first.shape[1]
    pair = np.concatenate([sets.first, sets.second], axis=1)
    sides = np.zeros((2, resamples, domains))
    kinds, multiplicity = np.unique(pair[sets.exchangeable], axis=0, return_counts=True)
    for kind, count in zip(kinds, multiplicity, strict=True):
        stay = generator.binomial(count, 0.5, resamples)[:, None]  # (R, 1)
        one, two = kind[:domains], kind[domains:]
        sides[0] += stay * one + (count - stay) * two
        sides[1] += stay * two + (count - stay) * one
    own = [part[~sets.exchangeable] for part in (sets.first, sets.second)]
    own = [part[part.sum(1) > 0] for part in own]
    kinds, multiplicity = np.unique(np.concatenate(own), axis=0, return_counts=True)
    if len(kinds):
        units = generator.multivariate_hypergeometric(
            multiplicity, len(own[0]), size=resamples, method="marginals"
        )  # (R, X)
        sides[0] += units @ kinds
        sides[1] += (multiplicity - units) @ kinds
    filled = (sides.sum(axis=2) > 0).all(axis=0)
    return jensen_shannon(sides[0][filled], sides[1][filled]) if filled.any() else np.zeros(1)


def _entropy(shares: np.ndarray) -> np.ndarray:
    """Return the entropy of distributions (…, K) in bits, (…)."""
    logs = np.log2(np.where(shares > 0, shares, 1.0))
    return -(shares * logs).sum(axis=-1)

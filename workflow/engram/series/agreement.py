"""Which windows several models of a series memorize, and whether they agree on the class.

Windows are the same where their tokens are; those of models with different tokenizers, where their
texts are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from engram.scores.bootstrap import cluster_sums, share_interval
from engram.series.measures import KEYS, SCORE, column_of
from engram.windows.shown_text import suffix_keys

SAME_CLASS = "same class"
"""The value of `measure` for agreement on the class."""
ALL_MODELS = "all models"
"""The value of `models` for windows that all models of the series have."""
BY = ("tokens", "text")
"""Columns by which windows are matched, in this order."""


def window_keys(tokens: np.ndarray, texts: Iterable[str]) -> pd.DataFrame:
    """Return the keys of n windows: `tokens` and `text`, int64, equal where these are equal.

    Args:
        tokens: (n, T).
        texts: n texts.
    """
    of_texts = pd.util.hash_array(np.array(list(texts), object)).view(np.int64)
    return pd.DataFrame({"tokens": suffix_keys(tokens), "text": of_texts})


def agreement_table(
    models: Mapping[str, pd.DataFrame],
    measures: Sequence[tuple[str, str]],
    confidence: float,
) -> pd.DataFrame:
    """Compare the windows of every bucket and class between every two models that share windows.

    Args:
        models: name → windows of `engram.series.measures.windows_of` with the columns of
            `window_keys`.
        measures: as `engram.series.measures.measure_names` returns them.
        confidence: of Wilson's intervals over content groups.

    Returns:
        taxonomy, measure, first, second, matched_by, windows (that both have), of_first and
        of_second (those in the bucket or class), both; jaccard, both ÷ either, with low and high;
        chance, the index of two random sets of these sizes; p_chance, hypergeometric, of at least
        as many in both. Rows of `SAME_CLASS`: of the windows that both memorize, the share that
        both put in one class (`jaccard`), next to that of independent classes.
    """
    rows = []
    for first, second in combinations(models, 2):
        joined, by = _joined(models[first], models[second])
        if joined.empty:
            continue
        groups = joined["content_group_1"].to_numpy()
        named = {"first": first, "second": second, "matched_by": by, "windows": len(joined)}
        for measure in measures:
            if measure != ("", SCORE):
                column = column_of(*measure)
                one, two = (joined[f"{column}_{side}"].to_numpy() == 1 for side in (1, 2))
                key = dict(zip(KEYS, measure, strict=True))
                rows.append(key | named | _overlap(one, two, groups, confidence))
        full = (joined["full_1"] == 1) & (joined["full_2"] == 1)
        for slug in dict.fromkeys(slug for slug, _ in measures if slug):
            classes = [column_of(*measure) for measure in measures if measure[0] == slug]
            one, two = (
                joined.loc[full, [f"{name}_{side}" for name in classes]].to_numpy()
                for side in (1, 2)
            )
            key = dict(zip(KEYS, (slug, SAME_CLASS), strict=True))
            rows.append(key | named | _same(one, two, groups[full], confidence))
    return pd.DataFrame(rows, columns=[*KEYS, *_NAMED, *_OVERLAP])


_NAMED = ("first", "second", "matched_by", "windows")
_OVERLAP = ("of_first", "of_second", "both", "jaccard", "low", "high", "chance", "p_chance")


def shared_table(
    models: Mapping[str, pd.DataFrame], families: Mapping[str, str], confidence: float
) -> pd.DataFrame:
    """Count by how many models a window is memorized: of each family, and of the whole series.

    Args:
        models: as above.
        families: name of a model → its family.
        confidence: of Wilson's intervals over content groups.

    Returns:
        models (a family or `ALL_MODELS`), members, memorized_by, windows (of those that all members
        have), share with low and high; chance, the share if models memorized independently of each
        other. Sets of models that share no windows have no rows.
    """
    sets = {
        family: [name for name in models if families[name] == family]
        for family in dict.fromkeys(families[name] for name in models)
    }
    if len(sets) > 1:
        sets[ALL_MODELS] = list(models)
    rows = []
    for title, names in sets.items():
        tables = [models[name].drop_duplicates("tokens").set_index("tokens") for name in names]
        common = tables[0].index
        for table in tables[1:]:
            common = common.intersection(table.index)
        if common.empty:
            continue
        full = np.array([table.loc[common, "full"] == 1 for table in tables])  # (M, n)
        groups = tables[0].loc[common, "content_group"].to_numpy()
        reached = full.sum(0)[:, None] == np.arange(len(names) + 1)  # (n, M + 1)
        sums, sizes = cluster_sums(reached.astype(np.float64), groups)
        chance = np.ones(1)
        for rate in full.mean(1):
            chance = np.convolve(chance, [1 - rate, rate])
        for count, expected in enumerate(chance):
            share = share_interval(sums[:, count], sizes, confidence)
            rows.append(
                {
                    "models": title,
                    "members": len(names),
                    "memorized_by": count,
                    "windows": int(sums[:, count].sum()),
                    "share": share.value,
                    "low": share.low,
                    "high": share.high,
                    "chance": expected,
                }
            )
    return pd.DataFrame(
        rows,
        columns=[
            *("models", "members", "memorized_by", "windows"),
            *("share", "low", "high", "chance"),
        ],
    )


def _joined(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the windows that two models share, with `_1` and `_2` behind their columns, and by
    what they are matched.
    """
    for by in BY:
        sides = [
            table.drop_duplicates(by).drop(columns=[key for key in BY if key != by])
            for table in (first, second)
        ]
        joined = sides[0].merge(sides[1], on=by, suffixes=("_1", "_2"))
        if len(joined):
            break
    return joined, by


def _overlap(
    one: np.ndarray, two: np.ndarray, groups: np.ndarray, confidence: float
) -> dict[str, float]:
    """Return how two sets of n windows overlap."""
    both, either = one & two, one | two
    sizes, count = (int(one.sum()), int(two.sum())), int(both.sum())
    expected = sizes[0] * sizes[1] / len(one)
    chance = expected / (sum(sizes) - expected) if either.any() else np.nan
    p_chance = float(hypergeom.sf(count - 1, len(one), *sizes))
    return _row(sizes, both[either], groups[either], confidence, chance, p_chance)


def _same(
    one: np.ndarray, two: np.ndarray, groups: np.ndarray, confidence: float
) -> dict[str, float]:
    """Return how often two models put a window in one class, (n, K) each."""
    same = (one * two).sum(1) == 1
    chance = float((one.mean(0) * two.mean(0)).sum()) if len(one) else np.nan
    return _row((len(one), len(two)), same, groups, confidence, chance, np.nan)


def _row(
    sizes: tuple[int, int],
    agrees: np.ndarray,
    groups: np.ndarray,
    confidence: float,
    chance: float,
    p_chance: float,
) -> dict[str, float]:
    """Return the columns of one comparison; `agrees` is bool over what is compared."""
    sums, counts = cluster_sums(agrees[:, None].astype(np.float64), groups)
    share = share_interval(sums[:, 0], counts, confidence)
    values = (*sizes, int(agrees.sum()), share.value, share.low, share.high, chance, p_chance)
    return dict(zip(_OVERLAP, values, strict=True))

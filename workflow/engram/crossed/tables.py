"""Scores over pairs and bases, from what each pair has decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from engram.crossed.differences import difference_table, influences
from engram.crossed.effects import effect_table, of_stratum_mask
from engram.crossed.intervals import (
    ClusteredShare,
    mean_over_bases,
    over_bases,
    over_windows,
)
from engram.crossed.pair import KEY, share_of
from engram.nursery.arms import FIRST

ALL_PAIRS, ALL_BASES = "all pairs", "all bases"


def joint_rows(
    windows: Mapping[str, pd.DataFrame],
    decisions: Mapping[str, pd.DataFrame],
    null: Mapping[str, pd.DataFrame],
    bases: Sequence[str],
    confidence: float,
) -> pd.DataFrame:
    """Return the accuracy of scorers over all pairs, windows by assigned dose.

    Args:
        windows: of every pair, as `engram.crossed.effects.outcomes` gives them.
        decisions: of every pair, as `engram.crossed.pair.PairScores` has them.
        null: likewise.
        bases: the base of every pair, in the same order.
        confidence: of the intervals.

    Returns:
        pair (`all pairs`: these models, other windows; `all bases`: other bases, other windows),
        the columns of `KEY`, pairs, bases, windows (summed over pairs), accuracy with its interval,
        p and null quantiles of the mean over pairs, redraws.
    """
    rows = []
    # Every pair is redrawn by itself, so that the mean over pairs has the redraws' means as its
    # null distribution.
    redrawn = [_by_key(table) for table in null.values()]
    for key in redrawn[0]:
        if not all(key in found for found in redrawn):
            continue
        name, scope, tested, dose, _ = key
        shares: list[ClusteredShare] = []
        for pair, table in decisions.items():
            own = table[(table["input"] == name) & (table["trained_on"] == scope)]
            some = windows[pair].set_index("sequence_id").loc[own["sequence_id"]]
            mask = of_stratum_mask(some["stratum"].to_numpy(str), tested)
            mask &= (some["dose"] == dose).to_numpy() | (dose == 0)
            sign = np.where(some["arm"] == FIRST, 1, -1)[mask]
            shares.append(share_of(own["score"].to_numpy()[mask], some[mask], sign))
        draws = [found[key] for found in redrawn]
        mean = np.mean(draws, axis=0)
        of_base = {
            base: [s for s, b in zip(shares, bases, strict=True) if b == base] for base in bases
        }
        label = dict(zip(KEY, key, strict=True))
        for kind, interval in (
            (ALL_PAIRS, over_windows(shares, confidence)),
            (ALL_BASES, over_bases(list(of_base.values()), confidence)),
        ):
            if kind == ALL_BASES and len(of_base) < 2:
                continue
            rows.append(
                {"pair": kind, **label, "pairs": len(shares), "bases": len(of_base)}
                | {"windows": sum(share.windows for share in shares)}
                | interval.columns("accuracy")
                | _null(mean)
            )
    return pd.DataFrame(rows)


def effects_of_pairs(windows: Mapping[str, pd.DataFrame], confidence: float) -> pd.DataFrame:
    """Return `engram.crossed.effects.effect_table` of every pair and, where there are several, of
    all pairs: these models, other windows. All pairs share the clusters."""
    return _of_pairs(windows, lambda own: effect_table(own, confidence))


def differences_of_pairs(
    knockouts: Mapping[str, pd.DataFrame], bases: Sequence[str], confidence: float
) -> pd.DataFrame:
    """Return `engram.crossed.differences.difference_table` of every pair and, where there are
    several, of all pairs (these models, other windows; its ranks compare means over pairs) and of
    all bases (other bases, other windows).

    Args:
        knockouts: rows of every pair, as `engram.crossed.differences.knockout_rows` gives them.
        bases: the base of every pair, in the same order.
        confidence: of the intervals.
    """
    table = _of_pairs(knockouts, lambda rows: difference_table(rows, confidence))
    if len(set(bases)) < 2:
        return table
    errors = [influences(rows) for rows in knockouts.values()]
    base_of = dict(zip(knockouts, bases, strict=True))
    rows = []
    for _, joint in table[table["pair"] == ALL_PAIRS].iterrows():
        names = {column: joint[column] for column in ("stratum", "size", "control")}
        key = (names["stratum"], names["size"], names["control"])
        if not all(key in found for found in errors):
            continue
        same = table["pair"] != ALL_PAIRS
        for column, value in names.items():
            same &= table[column] == value
        own = table[same]
        means = own.groupby(own["pair"].map(base_of), sort=False)[
            ["exposed", "unexposed", "difference"]
        ].mean()
        # A base's error is the mean of those of its pairs.
        part = pd.concat([found[key] for found in errors], axis=1).fillna(0)
        part = part.T.groupby(np.array(bases), sort=False).mean().T[means.index]
        interval = mean_over_bases(
            means["difference"].to_numpy(), part, len(part) - 1, confidence
        ).columns("difference")
        values = {"exposed": means["exposed"].mean(), "unexposed": means["unexposed"].mean()}
        counts = {"windows": own["windows"].sum(), "clusters": joint["clusters"]}
        rows.append({"pair": ALL_BASES, **names, **counts, **values, **interval})
    first = table["pair"] == ALL_PAIRS
    return pd.concat([table[first], pd.DataFrame(rows), table[~first]], ignore_index=True)


def _of_pairs(
    tables: Mapping[str, pd.DataFrame], analyse: Callable[[pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    """Return an analysis of every pair's rows and, first, of all pairs' where there are several."""
    found = [analyse(own).assign(pair=pair) for pair, own in tables.items()]
    if len(tables) > 1:
        # A window of two pairs is two rows: each pair has its own models.
        joint = pd.concat(dict(tables), names=["pair"]).reset_index("pair")
        joint["sequence_id"] = pd.factorize(
            pd.MultiIndex.from_frame(joint[["pair", "sequence_id"]])
        )[0]
        found.insert(0, analyse(joint.reset_index(drop=True)).assign(pair=ALL_PAIRS))
    rows = pd.concat(found, ignore_index=True)
    return rows[["pair", *rows.columns.drop("pair")]]


def _by_key(null: pd.DataFrame) -> dict[tuple[str, str, str, int, str], np.ndarray]:
    """Return the accuracies of all redraws, the design's own first, by what names their row."""
    found = {}
    for key, own in null.groupby(list(KEY), sort=False):
        name, scope, tested, dose, selection = key
        found[str(name), str(scope), str(tested), int(str(dose)), str(selection)] = own.sort_values(
            "redraw"
        )["accuracy"].to_numpy()
    return found


def _null(mean: np.ndarray) -> dict[str, float]:
    own, redraws = mean[0], mean[1:]
    if not len(redraws):
        return dict.fromkeys(("p", "null_median", "null_95"), np.nan) | {"redraws": 0}
    return {
        "p": float((1 + (redraws >= own - 1e-12).sum()) / (1 + len(redraws))),
        "null_median": float(np.quantile(redraws, 0.5)),
        "null_95": float(np.quantile(redraws, 0.95)),
        "redraws": len(redraws),
    }

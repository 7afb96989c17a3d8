"""The scores of one pair of models: every input, trained on natural text, on templates or on both,
and tested on each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engram.crossed.accuracy import arm_weights, hits
from engram.crossed.effects import of_stratum_mask
from engram.crossed.intervals import ClusteredShare, clustered_share
from engram.crossed.null import Arms, Reached, try_scorer
from engram.crossed.rivals import matched_auroc, text_features
from engram.crossed.scorer import fit, inner_products, scores
from engram.nursery.arms import STRATA

ASSIGNED, RECALLED, EXTRACTED = "assigned", "recalled in one", "extracted by both"
"""Test windows that a row counts: all of them, or those selected by outcome, without a test."""
SCOPES = ("all", "natural", "templates")
"""Windows that scorers are trained on."""
TESTED = ("all", "natural", *STRATA)
KEY = ("input", "trained_on", "tested_on", "dose", "selection")
"""Columns that name a row of scores."""


@dataclass(frozen=True)
class PairScores:
    """What the scorers of a pair reach."""

    rows: pd.DataFrame
    """The columns of `KEY`; windows, clusters, accuracy with its interval, first and second
    (accuracy per arm), auroc, p, null_median, null_95, redraws."""
    decisions: pd.DataFrame
    """input, trained_on, sequence_id, score of every test window of one arm."""
    null: pd.DataFrame
    """The columns of `KEY`, redraw (0 is the design's own), accuracy."""


def test_sets(windows: pd.DataFrame) -> dict[tuple[str, int, str], np.ndarray]:
    """Return the sets of windows that are tested: (stratum, dose or 0, selection) → bool (n,).

    Args:
        windows: as `engram.crossed.effects.outcomes` gives them.
    """
    stratum, dose = windows["stratum"].to_numpy(str), windows["dose"].to_numpy()
    exposed, unexposed = windows["exposed"].to_numpy(), windows["unexposed"].to_numpy()
    doses = sorted(set(dose[windows["exposed"].notna()]))
    selections = {
        ASSIGNED: np.ones(len(windows), bool),
        RECALLED: (exposed == 1) & (unexposed == 0),
        EXTRACTED: (exposed == 1) & (unexposed == 1),
    }
    found = {}
    for name in TESTED:
        for value in [0, *doses] if len(doses) > 1 else [0]:
            for selection, chosen in selections.items():
                if value and selection != ASSIGNED:
                    continue
                mask = of_stratum_mask(stratum, name) & chosen
                found[name, int(value), selection] = mask & ((dose == value) | (value == 0))
    return found


def score_pair(
    windows: pd.DataFrame,
    arms: Arms,
    differences: Mapping[str, np.ndarray],
    confidence: float,
    trained_on: Sequence[str] = SCOPES,
) -> PairScores:
    """Fit and test the scorers of a pair.

    Args:
        windows: as `engram.crossed.effects.outcomes` gives them, n.
        arms: of the same windows.
        differences: input → model 1 − model 2, (n, F).
        confidence: of the intervals.
        trained_on: scopes that scorers are trained on, of those that `scopes` returns.
    """
    rows, decisions, null = [], [], []
    sets = test_sets(windows)
    stratum = windows["stratum"].to_numpy(str)
    for name, difference in differences.items():
        products = inner_products(difference, arms.windows)
        for scope in (name for name in scopes(arms, stratum) if name in trained_on):
            named = {"/".join(map(str, key)): (key, mask) for key, mask in sets.items()}
            tested = try_scorer(
                products,
                arms,
                of_stratum_mask(stratum, scope),
                {text: mask for text, (_, mask) in named.items()},
            )
            for text, (key, _) in named.items():
                found = tested[text]
                if len(found.rows) < 2 or not np.isfinite(found.accuracy[0]):
                    continue
                label = dict(zip(KEY, (name, scope, *key), strict=True))
                row = score_row(found, windows, arms, confidence)
                if key[2] != ASSIGNED:
                    row |= dict.fromkeys(("p", "null_median", "null_95"), np.nan)
                rows.append(label | row)
                if key[2] == ASSIGNED:
                    redraw = np.arange(len(found.accuracy))
                    null.append(
                        pd.DataFrame(label | {"redraw": redraw, "accuracy": found.accuracy})
                    )
            whole = tested["/".join(map(str, ("all", 0, ASSIGNED)))]
            decisions.append(
                pd.DataFrame(
                    {
                        "input": name,
                        "trained_on": scope,
                        "sequence_id": windows["sequence_id"].to_numpy()[whole.rows],
                        "score": whole.score,
                    }
                )
            )
    return PairScores(
        pd.DataFrame(rows),
        pd.concat(decisions, ignore_index=True),
        pd.concat(null, ignore_index=True),
    )


def scopes(arms: Arms, stratum: np.ndarray) -> list[str]:
    """Return the scopes whose training windows hold both arms; `natural` or `templates` alone is
    not also called `all`.
    """
    found = []
    for scope in SCOPES:
        rows = arms.windows.rows("train", among=of_stratum_mask(stratum, scope))
        if len(set(arms.windows.arm[rows])) == 2:
            found.append(scope)
    return found if len(found) == len(SCOPES) else found[:1]


def share_of(score: np.ndarray, some: pd.DataFrame, sign: np.ndarray) -> ClusteredShare:
    """Return the accuracy of scores on windows, with what its interval needs.

    Args:
        score: (r,), above 0 for model 1.
        some: stratum and cluster of the same windows.
        sign: +1 where model 1 is exposed, else -1, (r,).
    """
    stratum = some["stratum"].to_numpy(str)
    weight = arm_weights(sign[:, None], stratum)[:, 0]
    group = np.char.add(stratum, np.where(sign > 0, "+", "-"))
    return clustered_share(
        hits(score, sign).astype(float), some["cluster"].to_numpy(), group, weight
    )


def score_row(
    found: Reached, windows: pd.DataFrame, arms: Arms, confidence: float
) -> dict[str, float]:
    """Return a row of scores: windows, clusters, accuracy with its interval, first, second, auroc,
    redraws, and, with any, p, null_median, null_95.
    """
    some = windows.iloc[found.rows]
    share = share_of(found.score, some, arms.windows.arm[found.rows].astype(int))
    return {
        "windows": len(some),
        "clusters": some["cluster"].nunique(),
        **share.interval(confidence).columns("accuracy"),
        "first": found.first,
        "second": found.second,
        "auroc": float(found.auroc[0]),
        "p": found.p if len(found.accuracy) > 1 else np.nan,
        "null_median": found.null_quantile(0.5),
        "null_95": found.null_quantile(0.95),
        "redraws": len(found.accuracy) - 1,
    }


def matched_rows(
    windows: pd.DataFrame, arms: Arms, scores_of: pd.DataFrame, bins: int
) -> Iterator[dict[str, object]]:
    """Yield how well each input separates the arms among windows of like difference of suffix
    log-probability: is it more than a loss detector?

    Args:
        windows: as `outcomes` gives them.
        arms: of them.
        scores_of: `PairScores.decisions`.
        bins: of the difference.
    """
    known = windows.assign(sign=arms.windows.arm).set_index("sequence_id")
    for (name, scope), own in scores_of.groupby(["input", "trained_on"], sort=False):
        some = known.loc[own["sequence_id"]]
        rival = (some["suffix_log_prob_1"] - some["suffix_log_prob_2"]).to_numpy()
        score = own["score"].to_numpy()
        for tested in TESTED:
            mask = of_stratum_mask(some["stratum"].to_numpy(str), tested)
            if not mask.any():
                continue
            sign, stratum = some["sign"].to_numpy()[mask], some["stratum"].to_numpy(str)[mask]
            value, used, fewer = matched_auroc(score[mask], rival[mask], sign, stratum, bins)
            left, _, _ = matched_auroc(rival[mask], rival[mask], sign, stratum, bins)
            yield {
                "input": name,
                "trained_on": scope,
                "tested_on": tested,
                "matched_auroc": value,
                "rival_auroc": left,
                "windows": used,
                "fewer_arm": fewer,
            }


def design_rows(
    windows: pd.DataFrame, tokens: np.ndarray, arms: Arms, confidence: float
) -> Iterator[dict[str, object]]:
    """Yield whether the text knows the arm: the scorer shown features of the text, which a sound
    design leaves at chance.
    """
    everything = np.ones(len(windows), bool)
    for name, features in text_features(tokens, windows):
        products = inner_products(features.astype(np.float32), arms.windows)
        found = try_scorer(products, arms, everything, {"all": everything})["all"]
        row = score_row(found, windows, arms, confidence)
        yield {
            "check": "arm from the text",
            "input": name,
            "stratum": "all",
            "windows": row["windows"],
            "clusters": row["clusters"],
            "value": row["accuracy"],
            "low": row["accuracy_low"],
            "high": row["accuracy_high"],
            "p": found.p,
            "null_median": found.null_quantile(0.5),
            "null_95": found.null_quantile(0.95),
            "redraws": row["redraws"],
        }


def control_rows(
    windows: pd.DataFrame, arms: Arms, differences: Mapping[str, np.ndarray], confidence: float
) -> Iterator[dict[str, object]]:
    """Yield how often scorers call model 1 exposed on windows that neither or both were shown, from
    any split: a sound scorer does so in one half, as no arm is right.
    """
    everything = np.arange(len(windows))
    for name, difference in differences.items():
        products = inner_products(difference, arms.windows)
        fitted = fit(products, arms.drawn[:, :1], arms.windows)
        score = scores(products, fitted, everything, arms.windows.stratum)[:, 0]
        for arm in ("placebo", "both"):
            if row := called_row(name, arm, score, windows, confidence):
                yield row


def called_row(
    name: str, arm: str, score: np.ndarray, windows: pd.DataFrame, confidence: float
) -> dict[str, object] | None:
    """Return how often scores (n,) call model 1 exposed on the windows of an arm, `placebo` or
    `both`; None without any.
    """
    rows = np.flatnonzero((windows["class"] == arm).to_numpy())
    if not len(rows):
        return None
    some = windows.iloc[rows]
    share = clustered_share(hits(score[rows], np.array(1)), some["cluster"].to_numpy())
    interval = share.interval(confidence)
    return {
        "check": f"model 1 called exposed: {arm}",
        "input": name,
        "stratum": "all",
        "windows": len(rows),
        "clusters": some["cluster"].nunique(),
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
    }

"""How well losses of texts and of their neighbours say which class a text is of.

(P) A forest of 100 trees and a logistic regression on the features of REMIND; every class against
the rest: area under the ROC curve (AUC), and the share of the class that is found while 1 % of the
others are taken for it (TPR). The paper reports a multi-class AUC of 82 % for telling retained,
forgotten and unseen text apart. (U) What reads the text alone, each on its own and all four
together (`rivals`), by logistic regressions on the same texts, since a threshold would not do for
the middle one of three classes. Nothing is tested on a content group that it was fitted on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from engram.cnn.probes import choose_strength
from engram.io.errors import EngramError
from engram.mechanisms.remind import RIVALS, Landscape
from engram.mechanisms.remind_row import LEAST_CHANCE
from engram.scores.bootstrap import draw_in_parts, percentile_ends
from engram.scores.probability_metrics import weighted_areas, weighted_hit_rates

METHODS = ("forest", "logistic", "rivals", *RIVALS)
"""What is fitted, in the order of the table."""
TREES = 100
"""Of the forest (P)."""
FALSE_RATE = 0.01
"""Share of other texts that the TPR allows (P)."""
EVERY_CLASS = "all"
"""The row of means over the classes."""


def held_out_logits(
    landscape: Landscape,
    label: np.ndarray,
    classes: int,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    seed: int,
) -> dict[str, np.ndarray]:
    """Return what every method of `METHODS` says of texts that it was not fitted on, float64 (n, K)
    each; NaN for texts that no fold tests.

    Args:
        landscape: of n texts.
        label: class indices, (n,).
        classes: K.
        folds: rows that are fitted, and rows that are then tested.
        seed: of the forest.

    Raises:
        EngramError: the fitted texts of a fold are of one class.
    """
    rivals = landscape.rivals
    inputs = {
        "forest": landscape.features,
        "logistic": landscape.features,
        "rivals": rivals,
        **{name: rivals[:, [number]] for number, name in enumerate(RIVALS)},
    }
    logits = {name: np.full((len(label), classes), np.nan) for name in METHODS}
    for fitted, tested in folds:
        if len(np.unique(label[fitted])) < 2:
            raise EngramError(
                f"REMIND: the {len(fitted)} texts that it is fitted on are of one class; give more "
                f"texts of every class"
            )
        for name, features in inputs.items():
            logits[name][tested] = (
                _forest(features, label, classes, fitted, tested, seed)
                if name == "forest"
                else choose_strength(
                    features, label, classes, fitted, np.empty(0, np.int64)
                ).probe.logits(features[tested])
            )
    return logits


def _forest(
    features: np.ndarray,
    label: np.ndarray,
    classes: int,
    fitted: np.ndarray,
    tested: np.ndarray,
    seed: int,
) -> np.ndarray:
    """Return the log-probabilities of a forest, (tested, K)."""
    forest = RandomForestClassifier(n_estimators=TREES, random_state=seed)
    forest.fit(features[fitted], label[fitted])
    chances = np.zeros((len(tested), classes))
    chances[:, forest.classes_] = forest.predict_proba(features[tested])
    return np.log(np.maximum(chances, LEAST_CHANCE))


def cross_folds(group: np.ndarray, count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return folds in which every text is tested once, and no content group is both fitted and
    tested.

    Args:
        group: content group of each text, (n,).
        count: of the folds; fewer where there are fewer groups.
        seed: of their draw.

    Raises:
        EngramError: fewer than two folds or content groups.
    """
    unit, units = pd.factorize(group)
    if min(count, len(units)) < 2:
        raise EngramError(
            f"folds: {count}, content groups: {len(units)}; REMIND needs two of each at least, to "
            f"test on others than it is fitted on"
        )
    order = np.random.default_rng(seed).permutation(len(units))
    fold = (order % min(count, len(units)))[unit]
    return [
        (np.flatnonzero(fold != number), np.flatnonzero(fold == number))
        for number in range(min(count, len(units)))
    ]


def score_methods(
    logits: Mapping[str, np.ndarray],
    label: np.ndarray,
    group: np.ndarray,
    names: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """Return how well each method finds each class, with intervals over content groups.

    Args:
        logits: of every method, (n, K); rows of NaN are not tested.
        label: class indices, (n,).
        group: content group, (n,).
        names: of the K classes.
        resamples: bootstrap draws of content groups, the same for all methods.
        confidence: nominal coverage of the percentile intervals.
        seed: of the draws.

    Returns:
        method; class, and `all` for the mean over classes; n (texts of the class), rest (other
        texts), groups (content groups of both); auc and tpr with `_low` and `_high`: area under the
        ROC curve and share found at 1 % false alarms, against the rest. NaN for a class that no
        tested text is of, or every one.

    Raises:
        EngramError: the tested texts are of one class.
    """
    tested = np.isfinite(next(iter(logits.values()))).all(axis=1)
    label = label[tested]
    unit, units = pd.factorize(group[tested])
    counts = np.bincount(label, minlength=len(names))
    known = (counts > 0) & (counts < len(label))
    if not known.any():
        raise EngramError(
            f"REMIND: the {len(label)} texts that it is tested on are of one class; give texts of "
            f"two classes or more"
        )
    rows: list[dict[str, object]] = []
    for method, values in logits.items():
        scores = _scores(values[tested], label, np.ones((1, len(label))), known)[0]  # (2, K + 1)
        draws = np.empty((resamples, *scores.shape))
        generator = np.random.default_rng(seed)
        for part, drawn in draw_in_parts(generator, len(units), resamples, len(label)):
            draws[part] = _scores(values[tested], label, drawn[:, unit], known)
        low, high = percentile_ends(draws, confidence)
        for k, name in enumerate([*names, EVERY_CLASS]):
            n = len(label) if k == len(names) else int(counts[k])
            rest = len(label) - n if k < len(names) else 0
            row: dict[str, object] = {
                "method": method,
                "class": name,
                "n": n,
                "rest": rest,
                "groups": len(units),
            }
            for position, score in enumerate(("auc", "tpr")):
                row |= {
                    score: scores[position, k],
                    f"{score}_low": low[position, k],
                    f"{score}_high": high[position, k],
                }
            rows.append(row)
    return pd.DataFrame(rows)


def _scores(
    logits: np.ndarray, label: np.ndarray, weights: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """Return AUC and TPR of the classes, and their means, under sets of weights, (R, 2, K + 1)."""
    both = np.stack(
        [
            weighted_areas(logits, label, weights),
            weighted_hit_rates(logits, label, weights, FALSE_RATE),
        ],
        axis=1,
    )  # (R, 2, K)
    both[..., ~known] = np.nan
    mean = both[..., known].mean(axis=2, keepdims=True)
    return np.concatenate([both, mean], axis=2)

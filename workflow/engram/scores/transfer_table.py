"""Transfer: what classifiers score where they were not trained, next to those that were trained
there.

Both are scored on the same test samples, with the same draws of content groups and CNNs, so that
what makes a text hard for every classifier cancels in their difference. Whether anything is
transferred at all is tested by permuting the classes among the texts."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from engram.scores.comparisons import differences
from engram.scores.metrics import predicted_classes, table_scores
from engram.scores.runs import Resampled, Run, resample

SCORES = ("balanced_accuracy", "min_f1")
TEXT = "text"
"""The input that knows the text and no model."""
PERMUTATIONS = 1_000
"""Permuted labellings of the tested samples."""
FEWEST = 10
"""Test samples of a class below which there are no scores."""
COLUMNS = [
    *("input", "labels", "score", "n", "groups", "fewest", "cnns"),
    *("value", "value_low", "value_high", "null_95", "p"),
    *("own", "difference", "difference_low", "difference_high"),
    *("over_text", "over_text_low", "over_text_high"),
]
"""Of the table; without a score, those of scores are empty."""


def transfer_scores(
    elsewhere: pd.DataFrame,
    own: pd.DataFrame,
    classes: Sequence[str],
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
) -> pd.DataFrame:
    """Score classifiers on samples of a kind or model that they were not trained on.

    Args:
        elsewhere: their predictions of test samples: sequence_id, content_group, class, input,
            labels, cnn, seed, logits.
        own: those of classifiers that were trained on this kind or model; of the same samples, as
            far as both predict them. Empty for none: the first are at home.
        classes: the K class names in the order of the logits.
        resamples: draws of content groups and CNNs.
        confidence: nominal coverage of the intervals.
        seed: of the draws and permutations.
        permutations: of the classes.

    Returns:
        a row per input, kind of labels and score; the columns are those of
        workflow/report/transfer.rst.
    """
    if len(own):
        common = np.intersect1d(elsewhere["sequence_id"], own["sequence_id"])
        elsewhere, own = (part[part["sequence_id"].isin(common)] for part in (elsewhere, own))
    first = elsewhere.drop_duplicates("sequence_id")
    fewest = int(first["class"].value_counts().reindex(list(classes), fill_value=0).min())
    shared = {
        "n": len(first),
        "groups": first["content_group"].nunique(),
        "fewest": fewest,
    }
    parts = {
        (str(source), str(labels)): part
        for (source, labels), part in elsewhere.groupby(["input", "labels"], sort=False)
    }
    runs: dict[Hashable, Run] = {}
    if fewest >= FEWEST:
        runs |= {("elsewhere", key): Run.of(part, classes) for key, part in parts.items()}
        runs |= {
            ("own", (str(source), str(labels))): Run.of(part, classes)
            for (source, labels), part in own.groupby(["input", "labels"], sort=False)
        }
    drawn = resample(runs, _statistics, resamples=resamples, seed=seed) if runs else {}
    rows = []
    for key, part in parts.items():
        null = permuted_scores(part, classes, seed, permutations) if runs else {}
        for score in SCORES:
            row: dict[str, Any] = {"input": key[0], "labels": key[1], "score": score, **shared}
            row["cnns"] = len(part[["cnn", "seed"]].drop_duplicates())
            if runs:
                row |= _scored(drawn[score], key, confidence) | _null_columns(null[score])
            rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def permuted_scores(
    predictions: pd.DataFrame, classes: Sequence[str], seed: int, permutations: int
) -> dict[str, np.ndarray]:
    """Return scores on the real classes and on permuted ones, (1 + R,) each, by score.

    One sample of each content group takes part, so that what is permuted is exchangeable where the
    predictions know nothing of the classes.

    Args:
        predictions: of test samples by one kind of classifiers: sequence_id, content_group, class,
            logits.
        classes: the K class names in the order of the logits.
        seed: of the permutations.
        permutations: R.
    """
    first = predictions.drop_duplicates("sequence_id").drop_duplicates("content_group")
    ids = first["sequence_id"].to_numpy()
    place = {name: k for k, name in enumerate(classes)}
    label = first["class"].map(place).to_numpy()
    kept = predictions[predictions["sequence_id"].isin(ids)]
    votes = np.zeros((len(ids), len(classes)))  # of all CNNs
    row = pd.Index(ids).get_indexer(kept["sequence_id"])
    np.add.at(votes, (row, predicted_classes(np.stack(kept["logits"].tolist()))), 1)
    generator = np.random.default_rng(seed)
    labellings = np.tile(label, (1 + permutations, 1))
    labellings[1:] = generator.permuted(labellings[1:], axis=1)
    confusions = np.stack(
        [(labellings == k).astype(np.float64) @ votes for k in range(len(classes))], axis=1
    )  # (1 + R, K, K)
    scores = table_scores(confusions)
    return {name: scores[name] for name in SCORES}


def _statistics(confusions: np.ndarray, run: Run) -> dict[str, np.ndarray]:
    """Return the scores of confusion matrices (…, K, K), (…) each."""
    scores = table_scores(confusions)
    return {name: scores[name] for name in SCORES}


def _scored(
    drawn: dict[Hashable, Resampled], key: tuple[str, str], confidence: float
) -> dict[str, float]:
    """Return the columns of one score of one kind of classifiers."""
    here = ("elsewhere", key)
    row = drawn[here].interval(confidence).columns("value")
    if ("own", key) in drawn:
        row["own"] = drawn["own", key].value
        row |= _difference(drawn, here, ("own", key), "difference", confidence)
    text = ("elsewhere", (TEXT, "real"))
    if text in drawn and text != here:
        row |= _difference(drawn, here, text, "over_text", confidence)
    return row


def _difference(
    drawn: dict[Hashable, Resampled],
    first: Hashable,
    second: Hashable,
    name: str,
    confidence: float,
) -> dict[str, float]:
    (found,) = differences(drawn, [(first, second)], confidence)
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def _null_columns(scores: np.ndarray) -> dict[str, float]:
    """Return the 95 % quantile under permuted classes, and how often they score as much."""
    null = scores[1:]
    above = int((null >= scores[0] - 1e-12).sum())
    return {"null_95": float(np.quantile(null, 0.95)), "p": (1 + above) / (1 + len(null))}

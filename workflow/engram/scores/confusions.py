"""Confusion matrices and recall of the test split, per kind of run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from engram.scores.bootstrap import Interval, cluster_means, draw_in_parts, percentile_interval
from engram.scores.metrics import confusion_matrix, predicted_classes

RUNS = {
    ("attention", "real"): "attention",
    ("attention", "shuffled"): "shuffled labels",
    ("random_weights", "real"): "random weights",
    ("token_identity", "real"): "token identity",
    ("scalar_features", "real"): "scalar features",
    ("hidden_states", "real"): "hidden states",
    ("text_kind", "real"): "template or natural",
    ("text_scalars", "real"): "text scalars",
    ("text", "real"): "text",
    ("text_and_attention", "real"): "text and attention",
}
"""Kinds of run, (input, labels), in the order of figures, with their titles."""


def summed_confusions(
    predictions: pd.DataFrame, classes: Sequence[str]
) -> dict[tuple[str, str], np.ndarray]:
    """Return confusion matrices (K, K) of the test split, rows the true classes, summed over CNNs,
    seeds and reported epochs.

    Args:
        predictions: the table `predictions.parquet`.
        classes: the K class names in the order of the logits.

    Returns:
        (input, labels) → counts, for the kinds of run that the predictions have, in the order of
        `RUNS`.
    """
    test = predictions[predictions["split"] == "test"]
    position = {name: i for i, name in enumerate(classes)}
    confusions = {}
    for source, labels in RUNS:
        rows = test[(test["input"] == source) & (test["labels"] == labels)]
        if len(rows):
            predicted = predicted_classes(np.stack(rows["logits"].tolist()))
            true = rows["class"].map(position).to_numpy()
            confusions[source, labels] = confusion_matrix(true, predicted, len(classes))
    return confusions


def recall_by_kind(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    kinds: pd.Series,
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Tabulate the recall of every class on natural text and on synthetic templates separately, to
    show whether a class is recognized by its templates alone.

    Args:
        predictions: the table `predictions.parquet`.
        classes: the K class names in the order of the logits.
        kinds: kind of text by sequence_id, `natural` or a template family.
        resamples: draws of content groups.
        confidence: nominal coverage of the intervals.
        seed: of the bootstrap.

    Returns:
        input, labels, class, text (`natural` or `templates`), n (test samples), recall with its
        interval: the share of predictions of all CNNs that name the class.
    """
    test = predictions[predictions["split"] == "test"]
    predicted = predicted_classes(np.stack(test["logits"].tolist()))
    frame = test.assign(
        hit=(np.array(classes, dtype=object)[predicted] == test["class"].to_numpy()).astype(float),
        text=np.where(test["sequence_id"].map(kinds) == "natural", "natural", "templates"),
    )
    rows = []
    for (source, labels, name, text), part in frame.groupby(
        ["input", "labels", "class", "text"], sort=False
    ):
        groups = part.groupby("content_group")["hit"].agg(["sum", "size"]).to_numpy()  # (G, 2)
        row = {
            "input": source,
            "labels": labels,
            "class": name,
            "text": text,
            "n": part["sequence_id"].nunique(),
        }
        rows.append(row | _share(groups, resamples, confidence, seed).columns("recall"))
    return pd.DataFrame(rows)


def _share(groups: np.ndarray, resamples: int, confidence: float, seed: int) -> Interval:
    """Return the share of hits and its percentile interval, from hits and trials per content group,
    (G, 2).
    """
    hits, trials = groups[:, :1], groups[:, 1]
    generator = np.random.default_rng(seed)
    drawn = [
        cluster_means(counts, hits, trials)[:, 0]
        for _, counts in draw_in_parts(generator, len(groups), resamples)
    ]
    return percentile_interval(hits.sum() / trials.sum(), np.concatenate(drawn), confidence)

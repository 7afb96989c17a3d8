"""What a set of predictions says: confusion matrices of the reported split, per kind of run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from engram.scores.bootstrap import mean_interval
from engram.scores.metrics import confusion_matrix, predicted_classes

RUNS = {
    ("attention", "real"): "attention",
    ("attention", "shuffled"): "shuffled labels",
    ("random_weights", "real"): "random weights",
    ("token_identity", "real"): "token identity",
    ("scalar_features", "real"): "scalar features",
    ("hidden_states", "real"): "hidden states",
}
"""Kinds of run, (input, labels), in the order of figures, with their titles."""


def summed_confusions(
    predictions: pd.DataFrame, classes: Sequence[str]
) -> dict[tuple[str, str], np.ndarray]:
    """Confusion matrices (K, K) on the test split, rows the true classes, summed over CNNs, seeds
    and reported epochs.

    Args:
        predictions: the table `predictions.parquet`.
        classes: the K class names in the order of the logits.

    Returns:
        (input, labels) → counts, for the runs that there are, in the order of `RUNS`.
    """
    test = predictions[predictions["split"] == "test"]
    position = {name: i for i, name in enumerate(classes)}
    confusions = {}
    for run in RUNS:
        mine = test[(test["input"] == run[0]) & (test["labels"] == run[1])]
        if len(mine):
            predicted = predicted_classes(np.stack(mine["logits"].tolist()))
            confusions[run] = confusion_matrix(
                mine["class"].map(position).to_numpy(), predicted, len(classes)
            )
    return confusions


def recall_by_kind(
    predictions: pd.DataFrame, classes: Sequence[str], kinds: pd.Series, **statistics: Any
) -> pd.DataFrame:
    """Recall of every class on natural text and on synthetic templates apart: does a class stand on
    its templates?

    Args:
        predictions: the table `predictions.parquet`.
        classes: the K class names in the order of the logits.
        kinds: kind of text by sequence_id, `natural` or a template family.
        statistics: arguments of `engram.scores.bootstrap.mean_interval`.

    Returns:
        input, labels, class, text (`natural` or `templates`), n (test samples), recall with its
        interval: the share of predictions of all CNNs that name the class.
    """
    test = predictions[predictions["split"] == "test"]
    predicted = np.array(classes, dtype=object)[
        predicted_classes(np.stack(test["logits"].tolist()))
    ]
    frame = test.assign(
        hit=(predicted == test["class"].to_numpy()).astype(float),
        text=np.where(test["sequence_id"].map(kinds) == "natural", "natural", "templates"),
    )
    rows = []
    for (source, labels, name, text), part in frame.groupby(
        ["input", "labels", "class", "text"], sort=False
    ):
        recall, low, high = mean_interval(
            part.groupby("content_group")["hit"].agg(["sum", "size"]).to_numpy(), **statistics
        )
        row = {
            "input": source,
            "labels": labels,
            "class": name,
            "text": text,
            "n": part["sequence_id"].nunique(),
        }
        rows.append(row | {"recall": recall, "recall_low": low, "recall_high": high})
    return pd.DataFrame(rows)

"""What a set of predictions says: confusion matrices of the reported split, per kind of run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from engram.metrics import confusion_matrix

RUNS = {
    ("attention", "real"): "attention",
    ("attention", "shuffled"): "shuffled labels",
    ("token_identity", "real"): "token identity",
}
"""Kinds of CNN run, (input, labels), in the order of figures, with their titles."""


def summed_confusions(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[tuple[str, str], np.ndarray]:
    """Confusion matrices (K, K) on the test split, rows the true classes, summed over CNNs, seeds and reported epochs.

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
            predicted = np.stack(mine["logits"].tolist()).argmax(axis=1)
            confusions[run] = confusion_matrix(mine["class"].map(position).to_numpy(), predicted, len(classes))
    return confusions

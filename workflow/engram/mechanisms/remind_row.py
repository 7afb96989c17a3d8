"""What REMIND predicts, as a row of the tables of scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

SHOWN = ("forest", "logistic")
"""Methods whose probabilities are in the table of samples."""
INPUT = "remind"
"""What tables of scores call the input of REMIND's forest."""
LEAST_CHANCE = 1e-9
"""Smallest probability of a forest that is told from 0, where a logit must be finite."""


def remind_predictions(
    samples: pd.DataFrame, predictions: pd.DataFrame, classes: Sequence[str]
) -> pd.DataFrame:
    """Return what REMIND's forest predicts of the tested samples, in the form of the predictions of
    CNNs, so that it is scored as they are.

    Args:
        samples: the second table of `engram.mechanisms.remind_experiment.run_remind`.
        predictions: `predictions.parquet` of the same taxonomy, which knows content groups.
        classes: the K class names.
    """
    tested = samples[samples["used"] == "tested"].reset_index(drop=True)
    known = predictions[predictions["split"] == "test"].drop_duplicates("sequence_id")
    chances = tested[[f"{SHOWN[0]}: {name}" for name in classes]].to_numpy(np.float64)
    table = tested[["sequence_id", "class"]].assign(
        split="test",
        input=INPUT,
        labels="real",
        cnn=SHOWN[0],
        seed=0,
        epoch=0,
        logits=[*np.log(np.maximum(chances, LEAST_CHANCE))],
    )
    return table.merge(known[["sequence_id", "content_group"]], on="sequence_id")

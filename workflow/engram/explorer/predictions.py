"""What the CNNs predict for single samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engram.scores.probability_metrics import class_probabilities

_DIGITS = 4


def sample_probabilities(
    predictions: pd.DataFrame, sequence_ids: np.ndarray
) -> dict[int, list[dict[str, Any]]]:
    """Return class probabilities of samples of the test split, by kind of CNN.

    Args:
        predictions: sequence_id, split, input, labels, cnn, seed, epoch, logits.
        sequence_ids: of the samples.

    Returns:
        sequence_id → runs, CNNs on attention with real labels first: `input`, `labels`, `mean` (K
        probabilities, mean over CNNs) and `cnns` with `name` and `p` (K probabilities, mean over
        the epochs that the protocol reports).
    """
    chosen = predictions["sequence_id"].isin(sequence_ids) & (predictions["split"] == "test")
    rows = predictions[chosen]
    if rows.empty:
        return {}
    probabilities = class_probabilities(np.stack(rows["logits"].tolist()))
    frame = rows.drop(columns="logits").assign(p=list(probabilities))
    result: dict[int, list[dict[str, Any]]] = {}
    key: Any
    for key, part in frame.groupby(["sequence_id", "input", "labels"], sort=False):
        sequence, source, labels = key
        cnns = [
            {
                "name": f"{cnn}, seed {seed}",
                "p": np.mean(np.stack(epochs["p"].tolist()), axis=0).round(_DIGITS).tolist(),
            }
            for (cnn, seed), epochs in part.groupby(["cnn", "seed"], sort=False)
        ]
        mean = np.mean([cnn["p"] for cnn in cnns], axis=0).round(_DIGITS).tolist()
        result.setdefault(int(sequence), []).append(
            {"input": source, "labels": labels, "mean": mean, "cnns": cnns}
        )
    for runs in result.values():
        runs.sort(key=lambda run: (run["labels"] != "real", run["input"] != "attention"))
    return result

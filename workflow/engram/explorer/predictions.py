"""What the CNNs say of a single sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

_DIGITS = 4


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, (…, K)."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def sample_probabilities(
    predictions: pd.DataFrame, sequence_ids: np.ndarray
) -> dict[int, list[dict[str, Any]]]:
    """Class probabilities of samples of the test split, by kind of CNN.

    Args:
        predictions: sequence_id, split, input, labels, cnn, seed, epoch, logits.
        sequence_ids: of the samples.

    Returns:
        sequence_id → runs, CNNs on attention with real labels first: `input`, `labels`, `mean` (K
        probabilities, over CNNs) and `cnns` with `name` and `p` (K probabilities, over the epochs
        that the protocol reports).
    """
    mine = predictions[
        predictions["sequence_id"].isin(sequence_ids) & (predictions["split"] == "test")
    ]
    if mine.empty:
        return {}
    frame = mine.drop(columns="logits").assign(
        p=list(probabilities(np.stack(mine["logits"].tolist()).astype(np.float64)))
    )
    said: dict[int, list[dict[str, Any]]] = {}
    key: Any
    for key, rows in frame.groupby(["sequence_id", "input", "labels"], sort=False):
        sequence, source, labels = key
        cnns = [
            {
                "name": f"{cnn}, seed {seed}",
                "p": np.mean(np.stack(epochs["p"].tolist()), axis=0).round(_DIGITS).tolist(),
            }
            for (cnn, seed), epochs in rows.groupby(["cnn", "seed"], sort=False)
        ]
        mean = np.mean([cnn["p"] for cnn in cnns], axis=0).round(_DIGITS).tolist()
        said.setdefault(int(sequence), []).append(
            {"input": source, "labels": labels, "mean": mean, "cnns": cnns}
        )
    for runs in said.values():
        runs.sort(key=lambda run: (run["labels"] != "real", run["input"] != "attention"))
    return said

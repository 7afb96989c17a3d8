"""Writes what a trained grid leaves: checkpoints, histories, predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from engram.cnn.checkpoints import save_cnns
from engram.cnn.grid import GridResult
from engram.cnn.settings import PROBES
from engram.io.artifacts import write_csv, write_parquet


def write_results(
    result: GridResult, checkpoints: Path, history: Path, predictions: Path, taxonomy: str
) -> None:
    """Write checkpoints.safetensors, history.csv and predictions.parquet; of CNNs that diverged
    there is the history, and their names in the metadata of the predictions.

    Args:
        result: of `train_grid`.
        checkpoints: path of the CNNs.
        history: path of input, labels, cnn, seed, epoch, split, loss, accuracy, selected.
        predictions: path of sequence_id, content_group, split, class (the true one), input, labels,
            cnn, seed, epoch, logits.
        taxonomy: name for the metadata of the predictions.
    """
    probes = {key: probe for key, probe in result.trained.items() if key.input in PROBES}
    data, trained = (
        result.dataset,
        {key: result.trained[key] for key in result.architectures} | probes,
    )
    layers, tokens = data.layers("attention"), data.window
    parameters = {
        key: cnn.parameters
        for key, cnn in trained.items()
        if key in result.architectures and not cnn.diverged
    }
    save_cnns(
        checkpoints, parameters, set(result.architectures.values()), data.classes, layers, tokens
    )
    write_csv(
        pd.DataFrame([{**vars(key), **row} for key, cnn in trained.items() for row in cnn.history]),
        history,
    )
    frames = []
    for key, cnn in trained.items():
        columns = {
            "sequence_id": data.sequence_id[cnn.row],
            "content_group": data.content_group[cnn.row],
            "split": data.split[cnn.row],
            "class": np.array(data.classes, dtype=object)[data.label[cnn.row]],
            **vars(key),
            "epoch": cnn.epoch,
            "logits": list(cnn.logits),
        }
        frames.append(pd.DataFrame(columns))
    metadata = {"classes": list(data.classes), "taxonomy": taxonomy, "selection": result.selection}
    metadata["diverged"] = [key.path for key, cnn in trained.items() if cnn.diverged]
    write_parquet(
        pd.concat([frame for frame in frames if len(frame)], ignore_index=True),
        predictions,
        metadata,
    )

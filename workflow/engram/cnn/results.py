"""Writes what a trained grid leaves: checkpoints, histories, predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from engram.cnn.checkpoints import save_cnns
from engram.cnn.grid import GridResult
from engram.cnn.key import CnnKey
from engram.cnn.settings import PROBES, TEXT_RIVALS
from engram.cnn.training import TrainedCnn
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
    data, trained = result.dataset, in_order(result)
    layers, tokens = data.layers("attention"), data.side
    parameters = {
        key: cnn.parameters
        for key, cnn in trained.items()
        if key in result.architectures and not cnn.diverged
    }
    save_cnns(
        checkpoints, parameters, set(result.architectures.values()), data.classes, layers, tokens
    )
    write_csv(histories(result), history)
    metadata = {"classes": list(data.classes), "taxonomy": taxonomy, "selection": result.selection}
    metadata["diverged"] = [key.path for key, cnn in trained.items() if cnn.diverged]
    write_parquet(predictions_of(result), predictions, metadata)


def in_order(result: GridResult) -> dict[CnnKey, TrainedCnn]:
    """Return the CNNs in the order of the grid, then the regressions.

    They finish in any order, and the draws of the bootstrap depend on it.
    """
    fitted = {
        key: cnn for key, cnn in result.trained.items() if key.input in (*PROBES, *TEXT_RIVALS)
    }
    return {key: result.trained[key] for key in result.architectures} | fitted


def histories(result: GridResult) -> pd.DataFrame:
    """Return the columns of `history.csv`: a row per CNN, epoch and split."""
    return pd.DataFrame(
        [{**vars(key), **row} for key, cnn in in_order(result).items() for row in cnn.history]
    )


def predictions_of(result: GridResult) -> pd.DataFrame:
    """Return the columns of `predictions.parquet`: a row per CNN and sample."""
    data = result.dataset
    frames = [
        pd.DataFrame(
            {
                "sequence_id": data.sequence_id[cnn.row],
                "content_group": data.content_group[cnn.row],
                "split": data.split[cnn.row],
                "class": np.array(data.classes, dtype=object)[data.label[cnn.row]],
                **vars(key),
                "epoch": cnn.epoch,
                "logits": list(cnn.logits),
            }
        )
        for key, cnn in in_order(result).items()
        if len(cnn.row)
    ]
    return pd.concat(frames, ignore_index=True)

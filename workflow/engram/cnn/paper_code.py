"""CNNs that the paper's code trained: their weights, and what they said of its evaluation samples.

A folder `output/detect/<id>` holds one CNN: `config.json`, `cnn_2d/model_<epoch>.pt` and
`cnn_2d/forward_values_<epoch>.pt`. Both are pickles and are read as tensors alone, so that no code
in them runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from engram.cnn.architecture import Architecture
from engram.cnn.key import CnnKey
from engram.cnn.network import AttentionCNN
from engram.io.errors import EngramError, boundary, reason

SEEDS = {"mean": 0, "max": 1}
"""Seed that represents each `head_pooling` of a configuration. Max pooling never reached the CNN,
so that both are trainings of one architecture on the mean."""


@dataclass(frozen=True)
class PaperCnn:
    """One CNN after its last epoch."""

    key: CnnKey
    """`attention`, real labels, its architecture; the seed distinguishes the two trainings."""
    architecture: Architecture
    layers: int
    """L, channels of its input."""
    parameters: Mapping[str, torch.Tensor]
    outputs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]
    """Per epoch: sequence_id (m,), logits float32 (m, K), class (m,)."""


def find_cnns(folder: Path, patterns: str) -> list[Path]:
    """Return the folders below `folder` whose CNN was trained on a configuration of patterns, by
    name.
    """
    configs = sorted(folder.glob("*/config.json"))
    return [path.parent for path in configs if _read(path).get("patterns_config") == patterns]


def read_cnn(folder: Path, classes: int, tokens: int) -> PaperCnn:
    """Return the CNN of one folder.

    Args:
        folder: `output/detect/<id>`.
        classes: K, of the configuration's samples.
        tokens: T.

    Raises:
        EngramError: a file is missing or damaged, holds more than tensors, or does not fit the
            configuration.
    """
    path = folder / "config.json"
    config = _read(path)
    with boundary(f"{path}: it does not describe a CNN of the paper's code", "copy it again"):
        pooling = str(config["head_pooling"])
        architecture = Architecture(
            kernel=int(config["kernel_size"]),
            features=int(config["n_feat_cnn"]),
            hidden=int(config["n_feat_fc"]),
            pooling_kernel=int(config["pooling_kernel"]),
        )
        key = CnnKey("attention", "real", architecture.name, SEEDS[pooling])
    last = _epochs(folder, "model")[-1]
    parameters = _load(last)
    outputs = [_outputs(file, classes) for file in _epochs(folder, "forward_values")]
    try:
        layers = int(parameters["conv1.weight"].shape[1])
        cnn = AttentionCNN.of(architecture, layers, classes, tokens)
        cnn.load_state_dict(parameters)
    except (RuntimeError, LookupError, TypeError, AttributeError) as error:
        raise EngramError(
            f"{last}: its tensors are not those of {architecture.name} with {classes} classes, "
            f"which {path} describes ({reason(error)[:200]})"
        ) from None
    return PaperCnn(key, architecture, layers, cnn.state_dict(), outputs)


def predictions_of(cnns: Sequence[PaperCnn], samples: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of `predictions.parquet`, epochs counted from 1.

    Args:
        cnns: of `read_cnn`.
        samples: by sequence_id: content_group, class, code.

    Raises:
        EngramError: a CNN was evaluated on another sample, or on another class of it.
    """
    frames = []
    for cnn in cnns:
        for epoch, (sequence_ids, logits, code) in enumerate(cnn.outputs, start=1):
            known = samples.index.get_indexer(pd.Index(sequence_ids))
            own = samples.iloc[known]
            wrong = (known < 0) | (own["code"].to_numpy() != code)
            if wrong.any():
                raise EngramError(
                    f"CNN {cnn.key.path}, epoch {epoch}: it was evaluated on sequence_id "
                    f"{sequence_ids[wrong][0]} in class {code[wrong][0]}, which the samples do not "
                    f"have; give the CNNs of the same configuration"
                )
            frame = {
                "sequence_id": sequence_ids,
                "content_group": own["content_group"].to_numpy(),
                "split": "test",
                "class": own["class"].to_numpy(),
                **vars(cnn.key),
                "epoch": epoch,
                "logits": list(logits),
            }
            frames.append(pd.DataFrame(frame))
    return pd.concat(frames, ignore_index=True)


def _epochs(folder: Path, stem: str) -> list[Path]:
    """Return the files of the epochs, in order."""
    numbered = {
        int(match[1]): path
        for path in (folder / "cnn_2d").glob(f"{stem}_*.pt")
        if (match := re.fullmatch(rf"{stem}_(\d+)\.pt", path.name))
    }
    if not numbered:
        raise EngramError(f"{folder / 'cnn_2d'}: no {stem}_<epoch>.pt; copy the folder again")
    return [numbered[epoch] for epoch in sorted(numbered)]


def _load(path: Path) -> Any:
    """Return what torch saved, tensors and nothing that runs."""
    with boundary(f"{path}: it does not hold tensors alone", "copy it again"):
        return torch.load(path, map_location="cpu", weights_only=True)


def _outputs(path: Path, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sequence_id (m,), logits (m, K) and class (m,) of one epoch."""
    with boundary(f"{path}: it does not hold keys, logits and labels", "copy it again"):
        keys, logits, labels = _load(path)
        arrays = (
            keys.numpy().astype(np.int64),
            logits.float().numpy(),
            labels.numpy().astype(np.int64),
        )
    if arrays[1].shape != (len(arrays[0]), classes) or len(arrays[2]) != len(arrays[0]):
        raise EngramError(
            f"{path}: logits of shape {arrays[1].shape} for {len(arrays[0])} samples of {classes} "
            f"classes; give the CNNs of the same configuration"
        )
    return arrays


def _read(path: Path) -> dict[str, Any]:
    with boundary(f"{path}: cannot be read", "copy it again"):
        values = json.loads(path.read_text(encoding="utf-8"))
    return values if isinstance(values, dict) else {}

"""What a finished study leaves of a model and its CNNs: attention, checkpoints, predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tiny_predictions import CLASSES, predictions, write
from transformers import PreTrainedModel

from engram.cnn.architecture import Architecture
from engram.cnn.checkpoints import save_cnns
from engram.cnn.key import CnnKey
from engram.cnn.network import AttentionCNN
from engram.lm.models import fingerprint
from engram.store.index import write_index
from engram.store.settings import ExtractionSettings
from engram.store.shards import ModelSource, build_shard

SHAPES = (Architecture(3, 4, "mean", 8), Architecture(3, 4, "max", 8))
SLUG = "non-memo_guess_others"
SHARPER = 6.0
"""Times that the logits of the predictions are too large."""


def write_trained_study(
    root: Path, folder: Path, model: PreTrainedModel, tokens: np.ndarray, prefix: int
) -> Path:
    """A study `root` that ran the model in `folder` on windows of tokens (n, T), under the name
    `m`: CNNs of random weights, and predictions that are right as often as not, but too sure.
    """
    sequences = pd.DataFrame({"sequence_id": np.arange(len(tokens)), "tokens": list(tokens)})
    source = ModelSource("m", fingerprint(folder, None, "float32"), lambda: model)
    settings = ExtractionSettings(prefix=prefix, batch_tokens=1024)
    shard = root / "m" / "attention" / "shard-0.h5"
    build_shard(source, sequences, root / "parts", shard, settings)
    write_index([shard], shard.with_name("index.parquet"))
    layers, window = model.config.num_hidden_layers, tokens.shape[1]
    states, seeds = {}, (0, 1)
    for number, (shape, seed) in enumerate((shape, seed) for shape in SHAPES for seed in seeds):
        cnn = AttentionCNN.of(shape, layers, len(CLASSES), window)
        cnn.initialize(number)
        with torch.no_grad():
            cnn.fc2.weight.mul_(40)  # so that windows differ
        states[CnnKey("attention", "real", shape.name, seed)] = cnn.state_dict()
        states[CnnKey("attention", "shuffled", shape.name, seed)] = cnn.state_dict()
    frames = []
    for split, start in (("validation", 0), ("test", 1000)):
        options = {"cnns": [shape.name for shape in SHAPES], "seeds": seeds, "first_group": start}
        frame = predictions(0.6, seed=start, **options)
        frame["logits"] = [SHARPER * own for own in frame["logits"]]
        frames += [frame.assign(split=split), frame.assign(split=split, labels="shuffled")]
    path = write(frames, root, ", ".join(CLASSES), SLUG)
    where = path.with_name("checkpoints.safetensors")
    save_cnns(where, states, set(SHAPES), CLASSES, layers, window)
    return root

"""A tiny grid of CNNs on planted data."""

from typing import Any

import numpy as np
from tiny_samples import tiny_dataset

from engram.cnn.key import CnnKey
from engram.cnn.settings import CnnSettings
from engram.cnn.training import TrainedCnn, train_cnn

SETTINGS = CnnSettings(
    kernels=(3,), features=(6,), hidden=16, dropout=0.2, epochs=4, batch_size=8, learning_rate=3e-3
)
KEY = CnnKey("attention", "real", "k3-f6-mean", 0)
SHAPE = SETTINGS.grid()[KEY]
DIVERGING = SETTINGS.model_copy(update={"learning_rate": 1e30})
"""A rate that no config may ask for."""
DATA = tiny_dataset()
QUICK = SETTINGS.replace(epochs=1, head_poolings=("mean",))


def train(
    selection: str = "best_epoch", settings: CnnSettings = SETTINGS, **changes: Any
) -> TrainedCnn:
    settings = settings.replace(**changes) if changes else settings
    return train_cnn(DATA, KEY, settings.grid()[KEY], settings, selection)


def same(left: TrainedCnn, right: TrainedCnn) -> bool:
    return left.history == right.history and np.array_equal(left.logits, right.logits)

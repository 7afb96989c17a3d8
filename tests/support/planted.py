"""Samples whose class depends on one band of one layer, beside bands that are as strong and say
nothing.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from engram.cnn.dataset import Dataset
from engram.cnn.key import CnnKey
from engram.cnn.network import AttentionCNN
from engram.cnn.settings import CnnSettings
from engram.cnn.training import train_cnn
from engram.io.packing import query_key

TOKENS, LAYERS, PREFIX = 24, 4, 12
CLASSES = ["Neither", "Near", "Far"]
BANDS = {"Near": (1, 4), "Far": (3, 9)}
"""Layer and distance whose attention is raised in samples of the class, and nowhere else in samples
of another class.
"""
SOMETIMES = ((0, 9), (1, 9), (2, 4), (3, 4))
"""Layers and distances whose attention is raised in half of the samples of every class."""
ALWAYS = ((0, 4), (2, 9))
"""Layers and distances whose attention is raised more, in all samples of every class."""
SETTINGS = CnnSettings(
    kernels=(3, 4),
    features=(6,),
    head_poolings=("mean",),
    hidden=16,
    dropout=0.2,
    seeds=(0, 1),
    epochs=16,
    learning_rate=3e-3,
    baselines=(),
)


def region(name: str) -> np.ndarray:
    """The planted cells of a class, bool (L, P)."""
    layer, distance = BANDS[name]
    queries, keys = query_key(TOKENS)
    found = np.zeros((LAYERS, len(queries)), bool)
    found[layer] = queries - keys == distance
    return found


def planted_dataset(rows: int = 450, seed: int = 0) -> Dataset:
    """Random attention with the classes' bands and the distractors."""
    random = np.random.default_rng(seed)
    queries, keys = query_key(TOKENS)
    label = np.arange(rows) % len(CLASSES)
    mean = random.uniform(0, 0.2, (rows, LAYERS, len(queries))).astype(np.float32)
    bands = [(*band, label == CLASSES.index(name)) for name, band in BANDS.items()]
    bands += [(*band, random.random(rows) < 0.5) for band in SOMETIMES]
    bands += [(*band, np.full(rows, 1.4)) for band in ALWAYS]
    for layer, distance, raised in bands:
        mean[:, layer] += 0.5 * raised[:, None] * (queries - keys == distance)
    share = (np.arange(rows) // len(CLASSES)) % 5
    return Dataset(
        sequence_id=np.arange(rows),
        content_group=np.arange(rows),
        tokens=random.integers(0, 9, (rows, TOKENS)),
        mean=mean,
        max=np.minimum(1.4 * mean, 1),
        label=label,
        split=np.array(["train", "train", "train", "validation", "test"], dtype=object)[share],
        classes=CLASSES,
    )


@cache
def planted() -> tuple[Dataset, dict[CnnKey, AttentionCNN]]:
    """The samples and CNNs trained on them, with shuffled labels too."""
    data, cnns = planted_dataset(), {}
    for key, shape in SETTINGS.grid().items():
        trained = train_cnn(data, key, shape, SETTINGS, "best_epoch")
        cnns[key] = AttentionCNN.of(shape, LAYERS, len(CLASSES), TOKENS)
        cnns[key].load_state_dict(trained.parameters)
    return data, cnns

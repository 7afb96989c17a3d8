"""Random samples whose class shows in one band of one layer: small enough to train CNNs on within a
second.
"""

from __future__ import annotations

import numpy as np

from engram.cnn.dataset import Dataset
from engram.io.packing import query_key

TOKENS, LAYERS, HEADS = 16, 2, 3
SIGNAL_LAYER = 1


def full_attention(rows: int, seed: int) -> np.ndarray:
    """Causal attention of every head, rows summing to 1: (n, L, H, T, T) float32."""
    random = np.random.default_rng(seed)
    scores = np.exp(random.normal(size=(rows, LAYERS, HEADS, TOKENS, TOKENS))) * np.tri(TOKENS)
    return (scores / scores.sum(axis=-1, keepdims=True)).astype(np.float32)


def tiny_dataset(rows: int = 120, classes: int = 3, seed: int = 0, signal: float = 0.6) -> Dataset:
    """Samples of each class attend `signal` more at a distance of their own (2, 5, 8, … tokens) in
    `SIGNAL_LAYER`.
    """
    random = np.random.default_rng(seed)
    queries, keys = query_key(TOKENS)
    label = np.arange(rows) % classes
    mean = random.uniform(0, 0.3, size=(rows, LAYERS, len(queries))).astype(np.float32)
    band = (queries - keys)[None] == (2 + 3 * label)[:, None]  # (n, P)
    mean[:, SIGNAL_LAYER] += signal * band
    share = (np.arange(rows) // classes) % 5
    return Dataset(
        sequence_id=1000 + np.arange(rows),
        content_group=np.arange(rows) // 2,
        tokens=random.integers(0, 9, size=(rows, TOKENS)),
        mean=mean,
        max=np.minimum(1.5 * mean, 1).astype(np.float16),
        label=label,
        split=np.array(["train", "train", "train", "validation", "test"])[share],
        classes=[f"Class {k}" for k in range(classes)],
    )

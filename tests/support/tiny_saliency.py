"""Untrained CNNs on random attention, and their saliency."""

from __future__ import annotations

import numpy as np
import torch
from tiny_samples import LAYERS, TOKENS, full_attention

from engram.cnn.architecture import Architecture
from engram.cnn.network import AttentionCNN
from engram.io.packing import pack
from engram.saliency.delta import saliency_of_grid
from engram.saliency.file import Saliency
from engram.saliency.methods import METHODS

PREFIX = 8
CLASSES = ["Non-Memo", "Guess", "Recall"]


def make_cnn(pooling: str = "mean", seed: int = 0, scale: str = "raw") -> AttentionCNN:
    cnn = AttentionCNN.of(
        Architecture(3, 6, pooling, hidden=16, input_scale=scale), LAYERS, len(CLASSES), TOKENS
    )
    cnn.initialize(seed)
    return cnn


def pooled_maps(heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Packed mean and max, (n, L, P) each."""
    full = torch.from_numpy(heads)
    return pack(full.mean(dim=2)).numpy(), pack(full.amax(dim=2)).numpy()


def of_grid(cnns: list[AttentionCNN], rows: int = 9) -> dict[str, Saliency]:
    mean, maximum = pooled_maps(full_attention(rows, seed=2))
    named = {f"cnn{index}": cnn for index, cnn in enumerate(cnns)}
    return saliency_of_grid(named, mean, maximum, np.arange(rows) % 3, CLASSES, METHODS, PREFIX)

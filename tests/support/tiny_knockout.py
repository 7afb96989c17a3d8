"""A knock-out of a tiny model: its samples, Δ and settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tiny_models import LAYERS, gpt_neox, random_tokens

from engram.io.packing import packed_length
from engram.knockout.experiment import Runner, Samples
from engram.knockout.trials import KnockoutSettings

WINDOW, PREFIX, CLASSES = 16, 8, ["A", "B"]
CELLS = packed_length(WINDOW)
SETTINGS = KnockoutSettings(
    samples_per_class=4,
    sizes=[0.02, 0.2],
    draws=3,
    operations=["remove", "mean"],
    bands=[[0, 0], [1, 3], [4, 99], [50, 60]],
    curve_points=3,
)


def samples(rows: int, seed: int) -> Samples:
    number = np.arange(rows)
    return Samples(100 * seed + number, number // 2, number % 2, random_tokens(rows, WINDOW, seed))


def some_delta(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((len(CLASSES), LAYERS, CELLS))


def runner(folder: Path) -> Runner:
    return Runner(gpt_neox(), "abc", PREFIX, 64 * WINDOW, folder, "code")

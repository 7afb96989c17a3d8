"""A training of a few steps on repetitive rows, watched and killed at will."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import GPTNeoXForCausalLM

from engram.nursery.settings import TrainingSettings

STEPS, BATCH, LENGTH = 11, 2, 16
SETTINGS = TrainingSettings(
    batch_size=BATCH,
    learning_rate=0.01,
    warmup_steps=5,
    weight_decay=0.1,
    precision="float32",
    checkpoint_steps=4,
    log_steps=3,
    workers=1,
)


def rows(seed: int = 0, n: int = STEPS * BATCH + 1) -> np.ndarray:
    """Repetitive rows, (n, LENGTH): chunks of one or two tokens."""
    random = np.random.default_rng(seed)
    return np.stack(
        [np.resize(random.integers(1, 64, random.integers(1, 3)), LENGTH) for _ in range(n)]
    ).astype(np.uint16)


ROWS = rows()


class Stop(BaseException):
    """A kill: nothing in the training catches it."""


class Calls:
    """Records what a model is called with; raises at a given call."""

    def __init__(self, model: GPTNeoXForCausalLM, stop_at: int | None = None) -> None:
        self.batches: list[np.ndarray] = []
        self.stop_at = stop_at
        model.register_forward_pre_hook(self.record)

    def record(self, _: torch.nn.Module, arguments: tuple[torch.Tensor]) -> None:
        if len(self.batches) == self.stop_at:
            raise Stop
        self.batches.append(arguments[0].numpy().copy())


def parameters(model: GPTNeoXForCausalLM) -> dict[str, np.ndarray]:
    return {name: parameter.detach().numpy().copy() for name, parameter in model.named_parameters()}


def equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(
        first[name].tobytes() == second[name].tobytes() for name in first
    )


@dataclass(frozen=True)
class Undisturbed:
    """A training that nothing stopped."""

    parameters: dict[str, np.ndarray]
    curve: list[dict]
    state: Path

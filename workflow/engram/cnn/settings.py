"""The grid of CNNs of a taxonomy and how each is trained: the section `cnn` of the config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engram.cnn.key import CnnKey
from engram.cnn.network import Architecture

PROBES = ("scalar_features", "hidden_states")
"""Baselines that are logistic regressions."""


@dataclass(frozen=True)
class CnnSettings:
    """The grid of CNNs and how each is trained; the section `cnn` of the config."""

    kernels: Sequence[int] = (6, 8)
    """Sides of the convolution kernels, in tokens."""
    features: Sequence[int] = (10, 16)
    """Feature maps of the convolutions."""
    head_poolings: Sequence[str] = ("mean", "max")
    """How attention heads are pooled before the CNN sees them."""
    hidden: int = 64
    """Width of the fully connected layer."""
    dropout: float = 0.5
    """Share of activations dropped in training."""
    seeds: Sequence[int] = (0,)
    """Every CNN is trained once per seed."""
    epochs: int = 15
    """Passes over the training split."""
    batch_size: int = 16
    """Samples per step."""
    learning_rate: float = 1e-3
    """Of AdamW, constant."""
    weight_decay: float = 0.1
    """Of AdamW."""
    input_scale: str = "raw"
    """`raw` attention or `log`, see `engram.cnn.network.Architecture`."""
    controls: Sequence[str] = ("shuffled",)
    """`shuffled`: the grid once more on labels permuted within the train and validation splits,
    another permutation for each CNN.
    """
    baselines: Sequence[str] = ("token_identity",)
    """`token_identity`: CNNs that see which tokens are equal, and no attention. `random_weights`:
    CNNs on the attention of the model with permuted weights. `scalar_features`, `hidden_states`:
    logistic regressions, see `engram.cnn.probes`."""
    baseline_grid: Mapping[str, Sequence] = field(default_factory=dict)
    """Another grid for the CNNs of baselines: kernels, features, head_poolings, seeds; what is
    missing or empty is as above.
    """
    precision: str = "float32"
    """`float32`, or `bfloat16` for convolutions and matrix products (parameters stay float32)."""
    device: str = "cpu"
    """`cpu`, or `cuda` for the first GPU; the numbers of the two differ by rounding and by
    dropout's random bits.
    """
    memory_mb: int = 8192
    """Attention maps that are held in memory; larger ones are read from a scratch file. It changes
    no number.
    """

    def grid(self) -> dict[CnnKey, Architecture]:
        """Every CNN to train."""
        seen: dict[CnnKey, Architecture] = {}
        for labels in ("real", *self.controls):
            for pooling in self.head_poolings:
                seen |= self._runs("attention", labels, pooling, self.input_scale)
        other: dict[str, Any] = {
            name: values for name, values in self.baseline_grid.items() if values
        }
        smaller = replace(self, baseline_grid={}, **other)
        if "random_weights" in self.baselines:
            for pooling in smaller.head_poolings:
                seen |= smaller._runs("random_weights", "real", pooling, self.input_scale)
        if "token_identity" in self.baselines:
            seen |= smaller._runs("token_identity", "real", "none", "raw")
        return seen

    def probes(self) -> list[str]:
        """Baselines that are no CNNs."""
        return [name for name in self.baselines if name in PROBES]

    def _runs(
        self, source: str, labels: str, pooling: str, scale: str
    ) -> dict[CnnKey, Architecture]:
        shapes = [
            Architecture(k, f, pooling, self.hidden, self.dropout, scale)
            for k in self.kernels
            for f in self.features
        ]
        return {
            CnnKey(source, labels, shape.name, seed): shape
            for shape in shapes
            for seed in self.seeds
        }

    def training(self) -> dict[str, object]:
        """What decides the result of one CNN beside its architecture and seed."""
        names = ("epochs", "batch_size", "learning_rate", "weight_decay", "precision", "device")
        return {name: getattr(self, name) for name in names}

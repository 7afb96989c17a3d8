"""The name of a trained CNN: in files of CNNs, in predictions and in tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class CnnKey:
    """Which CNN of a taxonomy: what it saw, what it learned from, its architecture and its seed."""

    input: str
    """`attention`, or a baseline: `random_weights`, `token_identity`, `scalar_features`,
    `hidden_states`, or one of `engram.cnn.settings.TEXT_RIVALS`.
    """
    labels: str
    """`real`, or `shuffled` within the splits it learned from."""
    cnn: str
    """Name of the architecture, e.g. `k6-f10-mean`; of a probe, `logistic` or the layer it sees."""
    seed: int

    @property
    def path(self) -> str:
        """`attention/real/k6-f10-mean/0`."""
        return f"{self.input}/{self.labels}/{self.cnn}/{self.seed}"

    @classmethod
    def of_path(cls, path: str) -> CnnKey:
        """Return the key that `path` was made of."""
        source, labels, cnn, seed = path.split("/")
        return cls(source, labels, cnn, int(seed))

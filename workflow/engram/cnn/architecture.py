"""What distinguishes the CNNs of a grid."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """One shape of `engram.cnn.network.AttentionCNN`."""

    kernel: int
    """Side of both convolution kernels, in tokens."""
    features: int
    """Feature maps of both convolutions."""
    head_pooling: str = "mean"
    """How attention heads are pooled into the CNN's input: `mean`, `max`, or `none` for an input
    that has no heads.
    """
    hidden: int = 64
    """Width of the fully connected layer."""
    dropout: float = 0.5
    """Share of activations dropped in training, after each of the three ReLUs."""
    input_scale: str = "raw"
    """`raw` attention a as in the paper, or `log`: log(1 + T·a), which is log 2 where attention is
    spread evenly over T tokens.
    """

    @property
    def name(self) -> str:
        """Return `k6-f10-mean`: kernel, features, head pooling; `k6-f10` for an input that has no
        heads.
        """
        return f"k{self.kernel}-f{self.features}" + (
            "" if self.head_pooling == "none" else f"-{self.head_pooling}"
        )

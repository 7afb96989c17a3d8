"""What distinguishes the CNNs of a grid."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PAPER_POOLING = 2
"""Side of the paper's max-pooling windows."""


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
    pooling_kernel: int = PAPER_POOLING
    """Side and stride of the windows of both max-poolings; 1 pools nothing."""

    @property
    def name(self) -> str:
        """Return `k6-f10-mean`: kernel, features, head pooling; `k6-f10` for an input that has no
        heads.
        """
        return f"k{self.kernel}-f{self.features}" + (
            "" if self.head_pooling == "none" else f"-{self.head_pooling}"
        )

    def values(self) -> dict[str, Any]:
        """Return the fields by name. `pooling_kernel` is left out where it is the paper's, so that
        files and digests of such CNNs are the same as before there was a choice.
        """
        fields = asdict(self)
        if self.pooling_kernel == PAPER_POOLING:
            del fields["pooling_kernel"]
        return fields


def last_side(tokens: int, kernel: int, pooling_kernel: int = PAPER_POOLING) -> int:
    """Return the side of the maps that enter the fully connected layer; below 1, nothing is left of
    the input.

    Args:
        tokens: T, side of the input.
        kernel: side of both convolution kernels.
        pooling_kernel: side of both max-pooling windows.
    """
    first = (tokens - kernel + 1) // pooling_kernel
    return (first - kernel + 1) // pooling_kernel

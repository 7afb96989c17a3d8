"""Where the kernel of `engram.lm.pooling_kernel` pools a layer's attention, and where torch does.

An architecture's own eager attention says what its weights are. The kernel computes one formula, so
it is used for a layer only where that formula gives what the layer's eager attention gives: on the
first sequence that goes through the layer, in float32. Layers of which it is known beforehand that
they compute something else, those with attention sinks for instance, are not even tried.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn

from engram.io.errors import EngramError
from engram.io.spans import Spans
from engram.lm.attention_hook import Attend
from engram.lm.row_blocks import can_be_cut, row_blocks, rows_of_block

log = logging.getLogger(__name__)

Kernel = Literal["torch", "triton"]
Pooled = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Outputs of a layer's heads (b, T, H, d), mean and maximum of their weights (b, T, T) float32."""
AVERAGE, SINGLE = 1e-3, 1e-2
"""Differences in float32 that count as rounding: the mean difference, as a fraction of the mean
value, and the largest, as a fraction of the largest value."""


def fused_pooling(kernel: Kernel, device: torch.device) -> FusedPooling | None:
    """Return what pools layers by a kernel, None where torch does.

    Args:
        kernel: `attention.kernel` of the config.
        device: the model's.

    Raises:
        EngramError: the kernel cannot run on this machine.
    """
    if kernel == "torch":
        return None
    if device.type == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        raise EngramError(
            f"attention.kernel: {kernel} needs a GPU, and the model is on a processor; set it to "
            f"torch, or, to try the kernel slowly, set the environment variable TRITON_INTERPRET "
            f"to 1"
        )
    try:
        from engram.lm.pooling_kernel import pool_heads
    except ImportError as error:
        raise EngramError(
            f"attention.kernel: {kernel} needs the package triton ({error}), which torch for GPUs "
            f"brings along; install it, or set attention.kernel to torch"
        ) from None
    log.info("attention.kernel: %s", kernel)
    return FusedPooling(pool_heads)


class FusedPooling:
    """Pools layers of one model, all its windows of one length, by a kernel.

    Args:
        pool_heads: of `engram.lm.pooling_kernel`.
    """

    def __init__(self, pool_heads: Callable[..., Pooled]) -> None:
        self._pool_heads = pool_heads
        self.layers: dict[int, bool] = {}
        """Whether the kernel pools each layer that was seen."""

    def pool(
        self,
        layer: int,
        module: nn.Module,
        eager: Attend,
        arguments: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Pooled | None:
        """Return one layer's attention, pooled; None where torch has to pool it.

        Args: those of a hook (`engram.lm.attention_hook.Hook`).
        """
        if layer not in self.layers:
            self.layers[layer] = is_plain(module, arguments, options) and self._agrees(
                module, eager, arguments, options
            )
            if not self.layers[layer]:
                log.info("layer %d: torch pools its attention, not the kernel", layer + 1)
        if not self.layers[layer]:
            return None
        return self._pool_heads(*arguments, **_formula(arguments, options))

    def _agrees(
        self,
        module: nn.Module,
        eager: Attend,
        arguments: tuple[Any, ...],
        options: dict[str, Any],
    ) -> bool:
        """Return whether kernel and eager attention agree on the first sequence of a batch."""
        first = tuple(tensor[:1].float() for tensor in arguments)
        window = first[0].shape[2]
        output, mean, highest = self._pool_heads(*first, **_formula(first, options))
        for block in row_blocks(first, Spans(0, window, 0).row_groups(rows_of_block(window))):
            expected, weights = eager(module, *block.arguments, **options)
            rows, keys = slice(block.begin, block.begin + weights.shape[2]), weights.shape[3]
            pairs = (
                (output[:, rows], expected),
                (mean[:, rows, :keys], weights.mean(1)),
                (highest[:, rows, :keys], weights.amax(1)),
            )
            if not all(_close(ours, theirs) for ours, theirs in pairs):
                return False
        return True


def is_plain(module: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Return whether nothing says that a layer computes something else than the softmax of scaled
    products, capped perhaps, and a mask that all heads share.

    Args:
        module: the layer's attention.
        arguments: of its eager attention, after the module.
        options: the keyword arguments.
    """
    if not can_be_cut(arguments, options):
        return False
    query, key, value, mask = arguments
    sinks = getattr(module, "sinks", None) is not None or options.get("s_aux") is not None
    return (
        not sinks
        and mask.shape[1] == 1
        and query.shape[3] == key.shape[3]
        and key.shape[1] == value.shape[1]
        and query.shape[1] % key.shape[1] == 0
    )


def _formula(arguments: tuple[Any, ...], options: dict[str, Any]) -> dict[str, float | None]:
    """Return scale and cap of the scores."""
    scale = options.get("scaling")
    return {
        "scale": arguments[0].shape[3] ** -0.5 if scale is None else float(scale),
        "cap": options.get("softcap"),
    }


def _close(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Return whether tensors differ by rounding alone; NaN differs."""
    off, size = (ours - theirs).abs(), theirs.abs()
    return bool((off.mean() <= AVERAGE * size.mean()) & (off.amax() <= SINGLE * size.amax()))

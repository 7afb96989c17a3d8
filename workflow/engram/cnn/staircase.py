"""A convolution over causal maps that leaves out what is zero: the first layer of a CNN, where most
of its time goes.

A causal map is zero above the diagonal, and so is every window of the kernel that lies there: its
output is the bias. The map is cut into bands of rows, each as wide as the diagonal lets it be, like
a staircase. With bands of 8 rows a map of 64 tokens keeps 64 % (kernel 6) and 67 % (kernel 8) of
the multiplications, and a processor takes as much less time. The outputs are those of the plain
convolution, the gradients add up in another order and differ by rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numba import njit
from torch.nn.functional import conv2d

from engram.io.packing import window_length

BAND = 8
"""Output rows of a band, even: the pooling that follows takes pairs of rows. Narrower ones save
little and cost a call each.
"""

Band = tuple[int, int, int]
"""First output row, the row after the last, and output columns from the left."""


@cache
def bands(tokens: int, kernel: int) -> tuple[Band, ...]:
    """Return the staircase of maps of T × T tokens: together its bands hold every output whose
    window reaches the diagonal.
    """
    side = tokens - kernel + 1
    edges = [*range(0, side, BAND), side]
    return tuple((first, last, min(side, last - 1 + kernel)) for first, last in pairwise(edges))


def cut(packed: torch.Tensor, kernel: int) -> list[torch.Tensor]:
    """Return what the kernel sees of packed maps, band by band.

    Args:
        packed: (n, L, P) float32 or bfloat16 in the processor's memory.
        kernel: its side in tokens.

    Returns:
        for every band a tensor (n, L, rows, columns), zero above the diagonal, the channels of a
        pixel side by side.
    """
    n, layers, length = packed.shape
    tokens = window_length(length)
    bits = (
        torch.int32 if packed.dtype == torch.float32 else torch.int16
    )  # numba knows no bfloat16; values are only moved
    values, strips = packed.contiguous().view(bits).numpy(), []
    for first, last, columns in bands(tokens, kernel):
        strip = torch.empty(
            n, last - first + kernel - 1, columns + kernel - 1, layers, dtype=packed.dtype
        )
        _fill(values, first, strip.view(bits).numpy())
        strips.append(strip.permute(0, 3, 1, 2))
    return strips


def convolve(
    strips: Sequence[torch.Tensor], tokens: int, weight: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """Return the convolution of the maps that `cut` cut: (n, F, T - k + 1, T - k + 1), in the
    precision of the strips.

    Gradients reach weight (F, L, k, k) and bias (F,), not the maps.
    """
    output: torch.Tensor = _Staircase.apply(
        weight.to(strips[0].dtype), bias.to(strips[0].dtype), tokens, *strips
    )
    return output


class _Staircase(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: torch.Tensor, bias: torch.Tensor, tokens: int, *strips: torch.Tensor
    ) -> torch.Tensor:
        kernel, side = weight.shape[2], tokens - weight.shape[2] + 1
        ctx.save_for_backward(weight, *strips)
        output = (
            bias.expand(len(strips[0]), side, side, -1).contiguous().permute(0, 3, 1, 2)
        )  # (n, F, side, side)
        for (first, last, columns), strip in zip(bands(tokens, kernel), strips, strict=True):
            output[:, :, first:last, :columns] = conv2d(strip, weight, bias)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        weight, *strips = ctx.saved_tensors
        kernel, tokens = weight.shape[2], gradient.shape[2] + weight.shape[2] - 1
        of_weight = torch.zeros_like(weight, dtype=torch.float32)
        for (first, last, columns), strip in zip(bands(tokens, kernel), strips, strict=True):
            part = gradient[:, :, first:last, :columns].contiguous(
                memory_format=torch.channels_last
            )
            arguments = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1, [False, True, False])
            of_weight += torch.ops.aten.convolution_backward(part, strip, weight, None, *arguments)[
                1
            ]
        of_bias = gradient.sum(dim=(0, 2, 3), dtype=torch.float32)
        return of_weight.to(weight.dtype), of_bias.to(weight.dtype), None, *(None for _ in strips)


@njit(nogil=True)
def _fill(packed: np.ndarray, first: int, strip: np.ndarray) -> None:  # pragma: no cover
    """Rows of maps from `first` on, (n, L, P) -> (n, rows, columns, L)."""
    n, rows, columns, layers = strip.shape
    for i in range(n):
        for row in range(rows):
            query = first + row
            start, keys = query * (query + 1) // 2, min(query + 1, columns)
            # Keys outermost: writing in one piece is three times faster than reading in one.
            for key in range(keys):
                for layer in range(layers):
                    strip[i, row, key, layer] = packed[i, layer, start + key]
            strip[i, row, keys:] = 0

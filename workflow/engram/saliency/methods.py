"""C, what speaks for a class rather than another, per cell of the attention, by four methods.

With B(t) what a method traces back from logit t to the CNN's input, C(t0) = B(t0) − mean over t ≠
t0 of B(t) (paper, localization).

- `guided`: guided backpropagation (Springenberg et al., Striving for Simplicity, 2015). Each ReLU
  lets positive gradients pass alone, in addition to its own mask.
- `gradient`: the plain gradient (Simonyan et al., 2014), which the study's code computed.
- `integrated_gradients` (Sundararajan et al., 2017): the mean of the gradients at `STEPS` points
  (Gauss-Legendre) of the straight line from an input of zeros to the CNN's input. Captum calls it
  `multiply_by_inputs=False`: C times the attention is the attribution, whose sum over cells is the
  difference of the logits at the line's ends. For CNNs that take the logarithm of attention the
  line is straight in the logarithm, and C is per unit of attention as everywhere.
- `gradcam` (Selvaraju et al., 2017) of the second convolution. Its map has no layer axis: one map
  of evidence over (query, key) holds for all layers, so that the layers of its Δ differ by their
  attention alone and say nothing about which layer the CNN rests on. It is laid out at the centres
  of the receptive fields, which are (p + 1)k − 1 tokens wide where pooling windows have side p,
  instead of being stretched over the whole input.

All four are exact sums of what is traced back to the output of the first convolution, which is
linear: one pass through it forth serves all methods, the K passes of guided backpropagation run
through the small rest of the CNN, and one pass per method goes back through the first convolution.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch.nn import functional

from engram.cnn.network import AttentionCNN, square_maps
from engram.io.errors import EngramError
from engram.io.packing import query_key
from engram.saliency.settings import METHODS

STEPS = 32
"""Points of the line that integrated gradients are averaged over."""


def check_methods(methods: Iterable[str]) -> None:
    """Raise an EngramError where one is not of `METHODS`."""
    for method in methods:
        if method not in METHODS:
            raise EngramError(
                f"saliency method {method!r}: choose {', '.join(METHODS[:-1])} or {METHODS[-1]}"
            )


def contrast(cnn: AttentionCNN, attention: torch.Tensor, target: int, method: str) -> torch.Tensor:
    """Return C by one method, see `contrasts`; (n, L, P)."""
    return contrasts(cnn, attention, target, [method])[method]


@torch.no_grad()
def contrasts(
    cnn: AttentionCNN, attention: torch.Tensor, target: int, methods: Iterable[str]
) -> dict[str, torch.Tensor]:
    """Return C, what speaks for the target class rather than another, per cell of the attention
    itself (scaling of the input included).

    Args:
        cnn: the CNN; whatever its mode, no dropout is applied.
        attention: packed, pooled as the CNN wants it, (n, L, P) floats.
        target: index of the class t0.
        methods: of `METHODS`.

    Returns:
        method → (n, L, P).

    Raises:
        EngramError: an unknown method.
    """
    methods = list(methods)
    check_methods(methods)
    weights = attention.new_full((1, cnn.classes), -1 / (cnn.classes - 1))  # (1, K)
    weights[0, target] = 1
    entered = (
        torch.log1p(cnn.tokens * attention) if cnn.input_scale == "log" else attention
    )  # (n, L, P)
    first = cnn.conv1(square_maps(entered))  # (n, F, T', T')
    highest, where = functional.max_pool2d(
        first, cnn.pooling_kernel, return_indices=True
    )  # (n, F, h, h); a ReLU does not change the place
    found = {}
    for method in methods:
        if method == "gradcam":
            found[method] = _gradcam(cnn, highest, weights)
            continue
        if method == "guided":
            logits = torch.eye(
                cnn.classes, dtype=weights.dtype
            )  # each by itself: the clipped passes do not add up
            back = _back(cnn, _forth(cnn, highest), logits, clip=True)  # (K, n, F, h, h)
            traced = torch.tensordot(weights[0], back, 1)  # (n, F, h, h)
        elif method == "gradient":
            traced = _back(cnn, _forth(cnn, highest), weights, clip=False)[0]
        else:
            traced = _along_the_line(cnn, highest, weights)
        evidence = _to_input(
            cnn, traced, where, first.shape
        )  # (n, L, P), per unit of what enters the CNN
        found[method] = (
            evidence * _slope(cnn, attention, entered, method)
            if cnn.input_scale == "log"
            else evidence
        )
    return found


@dataclass(frozen=True)
class _Forth:
    """A forward pass from the pooled first convolution on: what going back needs."""

    pooled1: torch.Tensor
    """After ReLU and pooling, (n, F, h, h)."""
    maps2: torch.Tensor
    """Second convolution after its ReLU, (n, F, s, s)."""
    pooled2: torch.Tensor
    """(n, F, s // p, s // p), p = the side of the pooling windows."""
    where2: torch.Tensor
    """Places of the pooled values in `maps2`, as `torch.nn.functional.max_pool2d` returns them."""
    hidden: torch.Tensor
    """Fully connected layer after its ReLU, (n, hidden)."""


def _forth(cnn: AttentionCNN, highest: torch.Tensor) -> _Forth:
    """Continue from the largest outputs of the first convolution, (n, F, h, h), before ReLU."""
    pooled1 = highest.relu()
    maps2 = cnn.conv2(pooled1).relu_()
    pooled2, where2 = functional.max_pool2d(maps2, cnn.pooling_kernel, return_indices=True)
    return _Forth(pooled1, maps2, pooled2, where2, cnn.fc1(pooled2.flatten(1)).relu_())


def _to_pooled2(cnn: AttentionCNN, forth: _Forth, logits: torch.Tensor, clip: bool) -> torch.Tensor:
    """Return the weights of logits (J, K), traced back to the second pooling, (J, n, F, s // p, s
    // p).
    """
    back = (logits @ cnn.fc2.weight)[:, None] * (forth.hidden > 0)  # (J, n, hidden)
    if clip:
        back.clamp_(min=0)
    return (back @ cnn.fc1.weight).unflatten(2, forth.pooled2.shape[1:])


def _back(cnn: AttentionCNN, forth: _Forth, logits: torch.Tensor, clip: bool) -> torch.Tensor:
    """Return the weights of logits (J, K), traced back to the largest outputs of the first
    convolution, before their ReLU: (J, n, F, h, h).
    """
    back = _to_pooled2(cnn, forth, logits, clip) * (forth.pooled2 > 0)  # (J, n, F, s', s')
    if clip:
        back.clamp_(min=0)
    rows, n = back.shape[:2]
    places = forth.where2.expand(rows, *forth.where2.shape).flatten(0, 1)
    back = _unpool(back.flatten(0, 1), places, forth.maps2.shape[2:])  # (J·n, F, s, s)
    back = functional.conv_transpose2d(back, cnn.conv2.weight).unflatten(
        0, (rows, n)
    )  # (J, n, F, h, h)
    back = back * (forth.pooled1 > 0)
    return back.clamp_(min=0) if clip else back


def _along_the_line(
    cnn: AttentionCNN, highest: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Return the mean gradient over the line, at the largest outputs of the first convolution, (n,
    F, h, h).

    At the share α of the line the first convolution gives α · (output − bias) + bias, and its
    largest outputs stay where they are.
    """
    assert cnn.conv1.bias is not None
    bias = cnn.conv1.bias[:, None, None]  # (F, 1, 1)
    total = torch.zeros_like(highest)
    for share, weight in _nodes():
        total += (
            weight
            * _back(cnn, _forth(cnn, torch.lerp(bias, highest, share)), weights, clip=False)[0]
        )
    return total


@cache
def _nodes() -> list[tuple[float, float]]:
    """Return the places on the line from 0 to 1 and their weights, which sum to 1."""
    places, weights = np.polynomial.legendre.leggauss(STEPS)
    return list(zip(((1 + places) / 2).tolist(), (weights / 2).tolist(), strict=True))


def _to_input(
    cnn: AttentionCNN, traced: torch.Tensor, where: torch.Tensor, shape: torch.Size
) -> torch.Tensor:
    """Trace weights from the largest outputs of the first convolution, (n, F, h, h), to the causal
    cells of its input, (n, L, P).
    """
    back = _unpool(traced, where, shape[2:]).contiguous(
        memory_format=torch.channels_last
    )  # (n, F, T', T')
    maps = functional.conv_transpose2d(back, cnn.conv1.weight)  # (n, L, T, T)
    pixels = maps.permute(0, 2, 3, 1).reshape(len(maps), -1, cnn.layers)  # (n, T·T, L)
    return pixels.index_select(1, _causal(cnn.tokens)).transpose(1, 2)


def _unpool(values: torch.Tensor, where: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Return the values (n, F, h, h) at the places that max-pooling took them from, zeros
    elsewhere: (n, F, *shape).
    """
    flat = values.new_zeros(*values.shape[:2], shape.numel())
    return flat.scatter_(2, where.flatten(2), values.flatten(2)).unflatten(2, shape)


def _slope(
    cnn: AttentionCNN, attention: torch.Tensor, entered: torch.Tensor, method: str
) -> torch.Tensor:
    """Convert evidence per unit of log(1 + T·a) to evidence per unit of attention a, (n, L, P).

    Integrated gradients attribute the whole entered value, so that theirs is the chord; the others'
    is the derivative.
    """
    if method == "integrated_gradients":
        return torch.where(
            attention > 0,
            entered / attention.clamp(min=torch.finfo(attention.dtype).tiny),
            cnn.tokens,
        )
    return cnn.tokens / (1 + cnn.tokens * attention)


def _gradcam(cnn: AttentionCNN, highest: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the class activation map of the second convolution on all causal cells, the same for
    every layer: (n, L, P).
    """
    forth = _forth(cnn, highest)
    channel = (
        _to_pooled2(cnn, forth, weights, clip=False)[0].sum(dim=(2, 3)) / forth.maps2[0, 0].numel()
    )  # (n, F)
    coarse = torch.einsum("nf,nfij->nij", channel, forth.maps2)  # (n, s, s)
    lay = _layout(cnn.tokens, cnn.conv1.kernel_size[0], cnn.pooling_kernel, coarse.shape[1]).to(
        coarse
    )  # (T, s)
    maps = (lay @ coarse @ lay.T).flatten(1)  # (n, T·T)
    return maps.index_select(1, _causal(cnn.tokens))[:, None].expand(-1, cnn.layers, -1)


@cache
def _layout(tokens: int, kernel: int, pooling: int, size: int) -> torch.Tensor:
    """Return the linear interpolation from outputs of the second convolution to tokens, (T, s); the
    outermost outputs hold beyond.

    With pooling windows of side p, output i sees tokens p·i to p·i + (p + 1)k − 2.
    """
    places = (np.arange(tokens) - ((pooling + 1) * kernel - 2) / 2) / pooling  # in outputs
    left = np.clip(np.floor(places), 0, max(0, size - 2)).astype(int)
    share = np.clip(places - left, 0, 1)
    lay = np.zeros((tokens, size))
    lay[np.arange(tokens), left] = 1 - share
    lay[np.arange(tokens), np.minimum(left + 1, size - 1)] += share
    return torch.from_numpy(lay)


@cache
def _causal(tokens: int) -> torch.Tensor:
    """Return the place of every packed cell in a flattened square map, (P,)."""
    queries, keys = query_key(tokens)
    return torch.from_numpy(queries * tokens + keys)

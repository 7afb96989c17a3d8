"""The CNN that distinguishes forms of memorization by attention maps (paper), and what it is fed.

The CNN sees one image per layer of the language model: attention pooled over heads, channels =
layers. It departs from the published code in one point that is not about numbers: every ReLU is a
module, so that guided backpropagation can reach it.
"""

from __future__ import annotations

import math
from functools import cache
from typing import get_args

import numpy as np
import torch
from numba import njit
from torch import nn

from engram.cnn.architecture import PAPER_POOLING, Architecture, last_side
from engram.cnn.settings import HeadPooling, InputScale
from engram.cnn.staircase import convolve, cut
from engram.io.errors import EngramError
from engram.io.packing import pack, query_key, window_length
from engram.io.spans import Spans

HEAD_POOLINGS = (*get_args(HeadPooling), "none")
INPUT_SCALES = get_args(InputScale)
STAIRCASE_LAYERS = 8
"""Fewest layers with which `engram.cnn.staircase` pays: at 6 it saves as much time as its calls
take.
"""


class Dropout(nn.Module):
    """Dropout with its own random numbers, so that CNNs trained at the same time in several
    threads stay reproducible.

    16 random bits decide each activation, and its layout in memory is kept: on a CPU this is many
    times cheaper than `torch.nn.Dropout`, which would take half of the training time.

    Args:
        rate: share of the activations that become 0; the others are divided by 1 - rate. It is
            rounded to 1/65536.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.threshold = round(rate * 2**16)
        self.seed(0)

    def seed(self, seed: int) -> None:
        """Restart the stream of random numbers."""
        self.random, self.start = np.random.SFC64(seed), seed
        self.generator: torch.Generator | None = None  # on a GPU

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.threshold == 0:
            return x
        if x.device.type != "cpu":
            if self.generator is None or self.generator.device != x.device:
                self.generator = torch.Generator(x.device).manual_seed(self.start)
            return (
                x
                * (
                    torch.rand(x.shape, device=x.device, generator=self.generator)
                    >= self.threshold / 2**16
                )
                / (1 - self.threshold / 2**16)
            )
        count = x.numel()
        bits = self.random.random_raw(-(-count // 4)).view(np.int16)[:count]
        kept = torch.empty(count, dtype=x.dtype)
        scale = torch.tensor(1 / (1 - self.threshold / 2**16), dtype=x.dtype)
        whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}[
            x.element_size()
        ]  # numba knows no bfloat16
        _keep(bits, self.threshold - 2**15, int(scale.view(whole).item()), kept.view(whole).numpy())
        return x * kept.as_strided(x.shape, torch.empty_like(x).stride())


@njit(nogil=True)
def _keep(
    bits: np.ndarray, threshold: int, scale: int, kept: np.ndarray
) -> None:  # pragma: no cover
    """The factor of every activation: `scale`, the bits of a number, or 0."""
    for i in range(len(bits)):
        kept[i] = scale if bits[i] >= threshold else 0


class AttentionCNN(nn.Module):
    """conv → ReLU → dropout → max-pool, twice; then fully connected → ReLU → dropout → fully
    connected (paper).

    Args:
        layers: L, layers of the language model: channels of the input.
        classes: K.
        kernel: side of both kernels, in rows of the maps; no padding.
        features: feature maps of both convolutions.
        hidden: width of the fully connected layer.
        head_pooling: which pooled attention the CNN is meant for; it is recorded, not applied.
        dropout: share of activations dropped in training.
        tokens: T, side of the input maps: tokens, or spans of tokens (`engram.io.spans`).
        input_scale: `raw` or `log`, applied to the input (see `Architecture`).
        pooling_kernel: side of both max-pooling windows; the paper's is 2.

    Raises:
        EngramError: a value that is not known, or a kernel that leaves nothing of maps of this
            size.
    """

    def __init__(
        self,
        layers: int,
        classes: int,
        kernel: int,
        features: int,
        hidden: int = 64,
        head_pooling: str = "mean",
        dropout: float = 0.5,
        tokens: int = 64,
        input_scale: str = "raw",
        pooling_kernel: int = PAPER_POOLING,
    ) -> None:
        super().__init__()
        if head_pooling not in HEAD_POOLINGS:
            raise EngramError(f"head_pooling {head_pooling!r}: choose {', '.join(HEAD_POOLINGS)}")
        if input_scale not in INPUT_SCALES:
            raise EngramError(f"input_scale {input_scale!r}: choose {' or '.join(INPUT_SCALES)}")
        side = last_side(tokens, kernel, pooling_kernel)
        if side < 1:
            pooled = f" and pooling_kernel {pooling_kernel}" * (pooling_kernel != PAPER_POOLING)
            raise EngramError(
                f"a CNN with kernel {kernel}{pooled} has nothing left of maps of {tokens} × "
                f"{tokens} tokens; take a smaller kernel"
            )
        self.layers, self.classes, self.tokens = layers, classes, tokens
        self.head_pooling, self.input_scale = head_pooling, input_scale
        self.pooling_kernel = pooling_kernel
        self.conv1 = nn.Conv2d(layers, features, kernel)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(features, features, kernel)
        self.relu2 = nn.ReLU()
        self.fc1 = nn.Linear(features * side * side, hidden)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(hidden, classes)
        self.pool = nn.MaxPool2d(pooling_kernel)
        self.dropout = Dropout(dropout)
        # Convolutions and pooling are up to twice as fast on a CPU when the channels of a pixel lie
        # side by side.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def of(cls, architecture: Architecture, layers: int, classes: int, tokens: int) -> AttentionCNN:
        """Return a CNN of this architecture."""
        a = architecture
        return cls(
            layers,
            classes,
            a.kernel,
            a.features,
            a.hidden,
            a.head_pooling,
            a.dropout,
            tokens,
            a.input_scale,
            a.pooling_kernel,
        )

    def initialize(self, seed: int) -> None:
        """Draw all parameters from the default distribution of PyTorch's layers, and start
        dropout's random numbers again.

        Nothing else that draws random numbers, in this thread or another, changes or is changed by
        the result.
        """
        generator = torch.Generator().manual_seed(seed)
        for layer in (self.conv1, self.conv2, self.fc1, self.fc2):
            bound = 1 / math.sqrt(
                layer.weight[0].numel()
            )  # of both, as kaiming_uniform_(a=√5) has it for the weight
            # Drawn in logical order: an in-place draw would follow the layout in memory.
            for parameter in (layer.weight, layer.bias):
                assert parameter is not None
                drawn = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
                parameter.data.copy_(drawn)
        self.dropout.seed(seed)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the logits of the classes.

        Args:
            maps: pooled attention, (n, L, T, T), zero where the key lies after the query.

        Returns:
            (n, K).
        """
        if maps.shape[1:] != (self.layers, self.tokens, self.tokens):
            raise ValueError(
                f"maps of shape {tuple(maps.shape)}, expected (n, {self.layers}, {self.tokens}, "
                f"{self.tokens})"
            )
        return self._classify(self.conv1(self._scaled(maps)))

    def classify_packed(self, packed: torch.Tensor) -> torch.Tensor:
        """Return the logits of the classes, (n, K), as `forward` gives them for the unpacked maps;
        no gradient reaches the maps.

        On a processor, and for models of `STAIRCASE_LAYERS` layers and more, the causal half alone
        enters the first convolution.

        Args:
            packed: pooled attention, (n, L, P).
        """
        if packed.device.type != "cpu" or self.layers < STAIRCASE_LAYERS:
            return self(square_maps(packed.float()))
        half = torch.is_autocast_enabled("cpu")
        entered = self._scaled(packed.float()).to(
            torch.bfloat16 if half else torch.float32
        )  # (n, L, P)
        assert self.conv1.bias is not None
        return self._classify(
            convolve(
                cut(entered, self.conv1.kernel_size[0]),
                self.tokens,
                self.conv1.weight,
                self.conv1.bias,
            )
        )

    def _scaled(self, attention: torch.Tensor) -> torch.Tensor:
        return torch.log1p(self.tokens * attention) if self.input_scale == "log" else attention

    def _classify(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits from the output of the first convolution, (n, F, T - k + 1, T - k + 1)."""
        x = self.pool(self.dropout(self.relu1(x)))  # (n, F, T', T'), T' = (T - k + 1) // p
        x = self.pool(self.dropout(self.relu2(self.conv2(x))))  # (n, F, T'', T'')
        x = self.dropout(self.relu3(self.fc1(x.flatten(1))))  # (n, hidden)
        return self.fc2(x)


def square_maps(packed: torch.Tensor) -> torch.Tensor:
    """Return packed maps as the CNN takes them: (n, L, P) -> (n, L, T, T), zero above the diagonal,
    gradients flow through.

    The channels of a pixel lie side by side in memory, which `engram.io.packing.unpack` does not
    give.
    """
    n, layers, length = packed.shape
    tokens = window_length(length)
    cells = _cells(tokens, packed.device)
    pixels = packed.new_zeros(n, tokens * tokens, layers)
    return (
        pixels.index_copy(1, cells, packed.transpose(1, 2).contiguous())
        .view(n, tokens, tokens, layers)
        .permute(0, 3, 1, 2)
    )


@cache
def _cells(tokens: int, device: torch.device) -> torch.Tensor:
    """Return where packed values lie in a map of T × T cells, (P,)."""
    queries, keys = query_key(tokens)
    with torch.inference_mode(mode=False):  # gradients may be wanted later
        return torch.from_numpy(queries * tokens + keys).to(device)


def token_identity(tokens: np.ndarray, spans: Spans | None = None) -> np.ndarray:
    """Return which earlier tokens of a text equal each token: the baseline that knows the text and
    no language model.

    Args:
        tokens: (n, T).
        spans: rows of the maps; None: single tokens.

    Returns:
        packed maps (n, P) uint8: 1 where key token == query token and key < query. The diagonal,
            which is equal in every text, is 0. Of spans: float32 (n, P), the share of a cell's
            pairs that are equal; whether any is, what the largest attention could follow, can be
            read off it.
    """
    if spans is not None and spans.block > 1:
        pooled = np.empty((len(tokens), spans.packed), np.float32)
        for row, text in enumerate(tokens):
            equal = np.tril(text[:, None] == text, -1).astype(np.float32)  # (T, T)
            pooled[row] = spans.pool(pack(equal), "mean")
        return pooled
    queries, keys = query_key(tokens.shape[1])
    maps = np.empty((len(tokens), len(queries)), np.uint8)
    for start in range(0, len(tokens), 1024):
        part = tokens[start : start + 1024]
        maps[start : start + 1024] = (part[:, queries] == part[:, keys]) & (keys < queries)
    return maps

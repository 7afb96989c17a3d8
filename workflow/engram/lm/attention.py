"""Attention of a language model, pooled over heads layer by layer while it is computed.

A layer's softmax weights (b, H, T, T) live only until its maps are pooled: the weights of all heads
of all layers are never held at once. Those of long windows are computed and pooled in blocks of
queries (`engram.lm.row_blocks`), so that not even one layer's are. The architecture's own eager
attention computes them, so sliding windows, attention sinks, logit caps and grouped queries come
out as `output_attentions` reports them: beyond a sliding window weights are 0, and with a sink the
rows sum to less than 1. On request a kernel for GPUs pools the layers whose eager attention it is
found to equal (`engram.lm.fused_pooling`).
Every token is attended to and positions count from 0, exactly as in `engram.lm.generation`. Maps
have T' = B + T positions: those of the model's opening (`engram.lm.inputs`), then the window's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.io.packing import pack, packed_length
from engram.io.spans import Spans, pool_rows
from engram.lm.attention_hook import (
    Attend,
    attention_hook,
    check_layers,
    has_interface,
    implementation,
)
from engram.lm.finite import check_finite
from engram.lm.fused_pooling import FusedPooling, Kernel, fused_pooling
from engram.lm.inputs import model_input, opening
from engram.lm.models import in_batches, suffix_logits, token_scores
from engram.lm.row_blocks import RowBlock, can_be_cut, row_blocks, rows_of_block

BATCH_TOKENS = 4096
"""Tokens per forward unless the caller says otherwise."""


class PooledMaps:
    """The maps of one forward, appended layer by layer."""

    def __init__(
        self, watch: Callable[[torch.Tensor], None] | None = None, spans: Spans | None = None
    ) -> None:
        self.watch = watch
        """Is given each layer's weights (b, H, T, T) before they are pooled."""
        self.spans = spans
        """Rows of the maps, where they are not single tokens."""
        self.mean: list[torch.Tensor] = []
        """Mean over heads, (b, P) float32 per layer."""
        self.max: list[torch.Tensor] = []
        """Largest over heads, (b, P) in the model's precision per layer."""
        self.above: list[torch.Tensor] = []
        """Largest weight above the diagonal, a scalar per layer: 0 in a causal model."""
        self.heads = 0
        """Heads of the last layer."""

    def add(self, weights: torch.Tensor) -> None:
        """Pool one layer's softmax weights (b, H, T, T)."""
        if self.watch is not None:
            self.watch(weights)
        self.add_pooled(
            weights.mean(1, dtype=torch.float32), weights.amax(1), heads=weights.shape[1]
        )

    def add_pooled(self, average: torch.Tensor, highest: torch.Tensor, heads: int) -> None:
        """Add one layer's weights, pooled over its heads.

        Args:
            average: mean over heads, (b, T, T) float32.
            highest: largest of any head, (b, T, T) in the model's precision.
            heads: H.
        """
        self.above.append(highest.triu(1).amax())
        if self.spans is not None:
            highest = pool_rows(highest, self.spans, 0, "max")
            average = pool_rows(average, self.spans, 0, "sum")
        self.max.append(pack(highest))
        self.mean.append(self._divided(pack(average)))
        self.heads = heads

    def add_block(self, block: RowBlock, weights: torch.Tensor, window: int) -> None:
        """Pool the softmax weights of a block of queries (b, H, R, begin + R) of the layer that is
        being computed.

        Args:
            block: the first one of a window begins a layer.
            weights: of its queries, for the keys up to its last query.
            window: T.
        """
        spans = self.spans or Spans(0, window, 0)
        if block.begin == 0:
            packed = (len(weights), spans.packed)
            self.max.append(weights.new_empty(packed))
            self.mean.append(weights.new_empty(packed, dtype=torch.float32))
            self.above.append(weights.new_zeros(()))
        highest, average = weights.amax(1), weights.mean(1, dtype=torch.float32)
        above = torch.maximum(highest.triu(block.begin + 1).amax(), block.later.to(highest.dtype))
        self.above[-1] = torch.maximum(self.above[-1], above)
        first = block.begin
        if self.spans is not None:
            first = int(np.searchsorted(spans.edges, first))
            highest = pool_rows(highest, spans, block.begin, "max")
            average = pool_rows(average, spans, block.begin, "sum")
        rows, keys = highest.shape[1:]  # of the map: (b, rows, keys), keys up to the last query's
        queries, before = torch.tril_indices(rows, keys, first, device=weights.device)
        cells = queries * keys + before
        place = slice(packed_length(first), packed_length(keys))  # of these rows in (b, P)
        self.max[-1][:, place] = highest.flatten(1).index_select(1, cells)
        self.mean[-1][:, place] = average.flatten(1).index_select(1, cells)
        if keys == spans.rows:
            self.mean[-1] = self._divided(self.mean[-1])
        self.heads = weights.shape[1]

    def _divided(self, sums: torch.Tensor) -> torch.Tensor:
        """Return means of sums over the tokens of each cell, (b, P)."""
        return sums if self.spans is None else sums / self.spans.sizes_on(sums)


@contextmanager
def pooling_heads(
    model: PreTrainedModel,
    watch: Callable[[torch.Tensor], None] | None = None,
    rows: int | None = None,
    spans: Spans | None = None,
    fused: FusedPooling | None = None,
) -> Iterator[PooledMaps]:
    """While it is open, one forward of `model` appends its pooled maps to the object that is
    yielded.

    Args:
        model: the model.
        watch: that of `PooledMaps`; with it, weights are computed whole.
        rows: queries that are computed at a time; None: as `engram.lm.row_blocks.rows_of_block`.
        spans: rows of the maps; None: single tokens.
        fused: pools the layers that it can, unless they are watched.

    Raises:
        EngramError: as `attention_hook`.
    """
    maps = PooledMaps(watch, spans)

    def attend(
        layer: int,
        module: nn.Module,
        eager: Attend,
        arguments: tuple[Any, ...],
        options: dict[str, Any],
    ) -> torch.Tensor:
        if fused is not None and watch is None:
            pooled = fused.pool(layer, module, eager, arguments, options)
            if pooled is not None:
                output, average, highest = pooled
                maps.add_pooled(average, highest.to(output.dtype), heads=output.shape[2])
                return output
        window: int = arguments[0].shape[2]
        together = rows or rows_of_block(window)
        if watch is not None or together >= window or not can_be_cut(arguments, options):
            output, weights = eager(module, *arguments, **options)
            maps.add(weights)
            return output
        outputs = []
        cuts = (spans or Spans(0, window, 0)).row_groups(together)
        for block in row_blocks(arguments, cuts):
            output, weights = eager(module, *block.arguments, **options)
            maps.add_block(block, weights, window)
            outputs.append(output)  # (b, R, H, d)
        return torch.cat(outputs, 1)

    with attention_hook(model, attend):
        yield maps


def pooled_attention(
    model: PreTrainedModel,
    tokens: np.ndarray | torch.Tensor,
    batch_tokens: int = BATCH_TOKENS,
    kernel: Kernel = "torch",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and maximum over heads of every layer's attention, packed; the
    language-modelling head is not run.

    Args:
        tokens: (n, T).
        batch_tokens: tokens per forward; halved, and halved again, when a GPU runs out of memory.
        kernel: what pools a layer's attention (`engram.lm.fused_pooling`).

    Returns:
        mean (n, L, P) float32 and max (n, L, P) in the model's precision, on the processor; P of
        B + T positions, B the tokens of the model's opening.

    Raises:
        EngramError: the architecture is not causal, not every layer computes softmax attention, or
            a weight is no number; the kernel cannot run on this machine.
    """
    windows = torch.as_tensor(tokens)
    fused = fused_pooling(kernel, model.device)

    def run(part: slice) -> tuple[torch.Tensor, torch.Tensor]:
        forward = _maps_of_forward(
            model,
            lambda **options: _base_forward(
                model, windows[part].to(model.device, torch.long), **options
            ),
            fused=fused,
        )
        return forward.mean, forward.max

    means, highest = zip(
        *(
            maps
            for _, maps in in_batches(
                run, len(windows), _batch_rows(windows, batch_tokens), "attention", model.device
            )
        ),
        strict=True,
    )
    return torch.cat(means), torch.cat(highest)


def all_heads(model: PreTrainedModel, tokens: np.ndarray) -> Iterator[torch.Tensor]:
    """Yield attention of every head of every layer, (L, H, P) in the model's precision on the
    processor, for one sequence (T,) after another.

    For looking at a handful of sequences: the weights that pooling sees, kept before it.

    Raises:
        EngramError: as `pooled_attention`.
    """
    for sequence in torch.as_tensor(tokens):
        batch = sequence[None].to(model.device, torch.long)
        kept: list[torch.Tensor] = []

        def keep(weights: torch.Tensor, kept: list[torch.Tensor] = kept) -> None:
            kept.append(pack(weights[0]).cpu())

        _maps_of_forward(
            model, lambda batch=batch, **options: _base_forward(model, batch, **options), keep
        )
        yield torch.stack(kept)  # (L, H, P)


@dataclass(frozen=True)
class Extraction:
    """Pooled attention of a batch of sequences, and how well the model reproduces them, from the
    same forward.
    """

    rows: slice
    """Which rows of the tokens these are."""
    mean: np.ndarray
    """(b, L, P) float32, P of the model's opening and the window (`engram.io.spans`)."""
    max: np.ndarray
    """(b, L, P) float16: exact for float16 models, rounded for others."""
    extracted: np.ndarray
    """(b,) bool: under teacher forcing every suffix token is the most likely one (32-extractable,
    paper section 2).
    """
    matched_fraction: np.ndarray
    """(b,) float32: fraction of suffix tokens that are the most likely one under teacher forcing.
    It equals the memorization score where that is 1 and is usually above it elsewhere, since free
    decoding does not recover from its first error."""
    suffix_log_prob: np.ndarray
    """(b,) float32: mean log-probability of the suffix tokens, nats per token."""
    heads: int
    """Attention heads that were pooled."""


def extract(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    batch_tokens: int = BATCH_TOKENS,
    block: int = 1,
    kernel: Kernel = "torch",
) -> Iterator[Extraction]:
    """Yield attention and verification of sequences, batch by batch in order, under a progress bar.

    Args:
        tokens: (n, T); the first `prefix` tokens are the prompt.
        prefix: 1 … T - 1.
        batch_tokens: as in `pooled_attention`.
        block: tokens of a row and column of the maps.
        kernel: as in `pooled_attention`.

    Raises:
        EngramError: as `pooled_attention`.
    """
    fused = fused_pooling(kernel, model.device)
    windows = torch.as_tensor(tokens)
    spans = Spans(len(opening(model)), prefix, windows.shape[1] - prefix, block)

    def run(part: slice) -> Extraction:
        batch = windows[part].to(model.device, torch.long)  # (b, T)
        forward = _maps_of_forward(
            model,
            lambda **options: suffix_logits(model, batch, prefix, **options),
            spans=spans if block > 1 else None,
            fused=fused,
        )
        matches, log_probabilities = token_scores(
            model, forward.output[0], batch[:, prefix:]
        )  # (b, S) each
        return Extraction(
            rows=part,
            mean=forward.mean.numpy(),
            max=forward.max.to(torch.float16).numpy(),
            extracted=matches.all(1).cpu().numpy(),
            matched_fraction=matches.float().mean(1).cpu().numpy(),
            suffix_log_prob=log_probabilities.mean(1).cpu().numpy(),
            heads=forward.heads,
        )

    for _, extraction in in_batches(
        run, len(windows), _batch_rows(windows, batch_tokens), "attention", model.device
    ):
        yield extraction


@dataclass(frozen=True)
class _Forward:
    mean: torch.Tensor  # (b, L, P), on the processor
    max: torch.Tensor  # (b, L, P), on the processor
    heads: int
    output: Any


def _maps_of_forward(
    model: PreTrainedModel,
    forward: Callable[..., Any],
    watch: Callable[[torch.Tensor], None] | None = None,
    spans: Spans | None = None,
    fused: FusedPooling | None = None,
) -> _Forward:
    """Run one forward and return its pooled maps, checked, with what the forward returned."""
    with torch.no_grad():
        if has_interface(model):
            with pooling_heads(model, watch, spans=spans, fused=fused) as maps:
                output = forward()
        else:
            # These architectures report all heads of all layers at once or not at all.
            maps = PooledMaps(watch, spans)
            with implementation(model, "eager"):
                output = forward(output_attentions=True)
            for weights in output[1].attentions:
                maps.add(weights)
            check_layers(model, len(maps.max))
        if torch.stack(maps.above).amax() > 0:
            raise EngramError(
                f"{type(model).__name__}: it attends to later tokens; only causal language models "
                f"can be studied"
            )
        heads, mean = maps.heads, _gathered(maps.mean)
        check_finite(model, mean, "attention weights")
        return _Forward(mean, _gathered(maps.max), heads, output)


def _gathered(layers: list[torch.Tensor]) -> torch.Tensor:
    """Return maps (b, P) of each layer as (b, L, P) on the processor. The list is emptied layer by
    layer: maps of long windows are not in memory twice.
    """
    first = layers[0]
    result = torch.empty((len(first), len(layers), first.shape[1]), dtype=first.dtype)
    layers.reverse()
    for layer in range(len(layers)):
        result[:, layer] = layers.pop()
    return result


def _base_forward(model: PreTrainedModel, tokens: torch.Tensor, **options: Any) -> tuple[None, Any]:
    """Return a forward without the language-modelling head, in the shape of `suffix_logits`'
    result.
    """
    read = model_input(model, tokens)  # (b, B + T)
    return None, model.base_model(
        input_ids=read, attention_mask=torch.ones_like(read), use_cache=False, **options
    )


def _batch_rows(windows: torch.Tensor, batch_tokens: int) -> int:
    """Return the number of sequences per forward within a budget of tokens, at least one."""
    return max(1, batch_tokens // windows.shape[1])

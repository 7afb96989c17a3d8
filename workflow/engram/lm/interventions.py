"""Removes parts of a language model while it runs, and measures what is left of the suffix.

What can be removed, in any set of layers:

* cells (query, key), from all heads of a layer; a cell of a blockwise map (`engram.io.spans`) is
  all its pairs of query and key. `remove`: the scores are masked before the softmax,
  so that the other keys of the query share what is freed (an attention sink takes its part). A
  query with no key left reads nothing: its heads put out 0. `mean`: the softmax weight of a cell
  becomes its mean over reference samples, per layer and head; the query's other weights stay as
  they are.
* whole heads. `remove`: the head puts out 0. `mean`: its output becomes its mean over reference
  samples, per position. `layer_mean`: its output becomes the mean over the layer's heads that are
  not replaced, of the same sample and position (Chen, Han and Miyao, arXiv 2603.21658, replace one
  head at a time, so by the mean of all others). A head's output is meant as it enters the output
  projection, so a norm that an architecture puts after the sublayer (OLMo-2 and 3) follows.
* feed-forward blocks, and neurons inside them. `remove` and `mean` as for heads; see
  `engram.lm.feed_forward_removal`.

The architecture's own eager attention computes everything else, so sliding windows, sinks, capped
scores and grouped queries are the model's own. Greedy decoding under a knock-out gives the suffix
exactly if and only if each suffix token is the most likely one after the true tokens before it,
under the same knock-out (a causal model sees the same prefix either way): one forward per condition
and sample shows it, and no decoding is needed.

Many conditions share a batch. What lies below the lowest layer that a condition touches is the
intact model, so its hidden states are computed once per sample and layer, and every condition
starts from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.io.packing import unpack
from engram.io.spans import Spans
from engram.lm.attention_hook import Attend, Hook, attention_hook
from engram.lm.conditions import HEAD_OPERATIONS, Condition
from engram.lm.feed_forward_removal import FeedForwardMeans, FeedForwardRemoval
from engram.lm.finite import check_finite
from engram.lm.inputs import model_input
from engram.lm.models import in_batches, suffix_logits, token_scores
from engram.lm.residual_stream import LowerLayers, find_layers, run_lower_layers, starting_from


@dataclass(frozen=True)
class Means:
    """What reference samples do on average in the intact model: the replacements of `mean`."""

    weights: torch.Tensor
    """Softmax weights, float32 (L, H, T', T'); T' = B + T positions of opening and window."""
    outputs: torch.Tensor
    """Outputs of the heads before they are mixed, float32 (L, T', H, d)."""


def average(model: PreTrainedModel, tokens: np.ndarray, batch_tokens: int) -> Means:
    """Return the mean weights and head outputs of the intact model over reference samples (n, T).

    Raises:
        EngramError: no sample, a value that is not finite, or as `attention_hook`.
    """
    if not len(tokens):
        raise EngramError(
            "knock-out: no reference samples to average over; take more samples per class"
        )
    windows = torch.as_tensor(tokens)

    def run(part: slice) -> list[tuple[torch.Tensor, torch.Tensor]]:
        sums: list[tuple[torch.Tensor, torch.Tensor]] = []

        def add(
            _layer: int,
            module: nn.Module,
            eager: Attend,
            arguments: tuple[Any, ...],
            options: dict[str, Any],
        ) -> torch.Tensor:
            output, weights = eager(module, *arguments, **options)  # (b, T, H, d), (b, H, T, T)
            sums.append((weights.sum(0, dtype=torch.float64), output.sum(0, dtype=torch.float64)))
            return output

        with torch.inference_mode(), attention_hook(model, add):
            batch = windows[part].to(model.device, torch.long)  # (b, T)
            model.base_model(input_ids=model_input(model, batch), use_cache=False)
        return sums

    total: list[list[torch.Tensor]] = []
    for _, sums in in_batches(
        run, len(windows), max(1, batch_tokens // windows.shape[1]), "mean attention", model.device
    ):
        total = (
            [
                [a + b for a, b in zip(one, other, strict=True)]
                for one, other in zip(total, sums, strict=True)
            ]
            if total
            else [*map(list, sums)]
        )
    weights, outputs = (
        torch.stack([layer[i] for layer in total]).float() / len(windows) for i in (0, 1)
    )
    check_finite(model, weights, "attention weights")
    check_finite(model, outputs, "head outputs")
    return Means(weights, outputs)


def knock_out(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    conditions: Sequence[Condition],
    means: Means | None = None,
    batch_tokens: int = 8192,
    feed_forward_means: FeedForwardMeans | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield what the model reproduces of each sequence under each condition.

    Args:
        tokens: (n, T); the first `prefix` are the prompt, the others what is to be reproduced.
        conditions: in any order.
        means: needed where an operation on cells or heads is `mean`.
        batch_tokens: tokens per forward; halved, and halved again, when a GPU runs out of memory.
        feed_forward_means: needed where an operation on blocks or neurons is `mean`.

    Yields: the position of a condition and its measures, float32 (n, 3) in the order of `MEASURES`
        (definitions: `engram.lm.attention.Extraction`). Conditions of a lower first layer come
        first.

    Raises:
        EngramError: a logit is not finite, or as `attention_hook` and `feed_forward_hook`.
    """
    if not len(tokens):
        return
    windows = torch.as_tensor(tokens, dtype=torch.long)
    rows = max(1, batch_tokens // windows.shape[1])
    levels: dict[int, list[int]] = {}
    for position, condition in enumerate(conditions):
        levels.setdefault(_start(model, condition.first), []).append(position)
    for first in sorted(levels):
        chosen = levels[first]
        below = run_lower_layers(model, windows, first, rows) if first else None
        run = _level(
            model,
            windows,
            prefix,
            [conditions[position] for position in chosen],
            means,
            feed_forward_means,
            first,
            below,
        )
        waiting: list[np.ndarray] = []
        done = 0
        for _, measures in in_batches(
            run, len(chosen) * len(windows), rows, f"knock-out from layer {first + 1}", model.device
        ):
            waiting.append(measures)
            while sum(map(len, waiting)) >= len(windows):
                joined = np.concatenate(waiting)
                yield chosen[done], joined[: len(windows)]
                waiting, done = [joined[len(windows) :]], done + 1


def removing(
    model: PreTrainedModel, condition: Condition, rows: int, window: int, means: Means | None = None
) -> Hook:
    """Return the hook for `attention_hook` that puts all rows of a batch under one condition, for
    forwards of the caller's own; gradients pass through it.

    Args:
        model: the model.
        condition: what is removed.
        rows: b, of the batch.
        window: T, tokens of a window.
        means: needed where the operation is `mean`.
    """
    row = torch.zeros(rows, dtype=torch.long, device=model.device)
    return _Removal([condition], row, means, window, model)


def _level(
    model: PreTrainedModel,
    windows: torch.Tensor,
    prefix: int,
    conditions: list[Condition],
    means: Means | None,
    feed_forward_means: FeedForwardMeans | None,
    first: int,
    below: LowerLayers | None,
) -> Callable[[slice], np.ndarray]:
    """Return the measures of a slice of the pairs (condition, sample), sample by sample within a
    condition.
    """

    def run(part: slice) -> np.ndarray:
        pairs = np.arange(part.start, part.stop)
        condition, sample = np.divmod(pairs, len(windows))
        mine = conditions[condition[0] : condition[-1] + 1]
        row = torch.from_numpy(condition - condition[0]).to(model.device)  # (b,)
        samples = torch.from_numpy(sample)
        batch = windows[samples].to(model.device)  # (b, T)
        hook = _Removal(mine, row, means, batch.shape[1], model)
        removal = FeedForwardRemoval(mine, row, feed_forward_means)
        with (
            torch.inference_mode(),
            attention_hook(model, hook, first),
            removal.open(model),
            starting_from(below, samples),
        ):
            logits, _ = suffix_logits(model, batch, prefix)
            matches, log_probabilities = token_scores(
                model, logits, batch[:, prefix:]
            )  # (b, S) each
        measures = (matches.all(1).float(), matches.float().mean(1), log_probabilities.mean(1))
        return torch.stack(measures, 1).cpu().numpy()

    return run


class _Removal:
    """Computes the attention of a batch whose rows are under different conditions."""

    def __init__(
        self,
        conditions: list[Condition],
        row: torch.Tensor,
        means: Means | None,
        window: int,
        model: PreTrainedModel,
    ) -> None:
        device = model.device
        self.row, self.means = row, means
        self.cells: dict[tuple[str, Spans | None], torch.Tensor] = {}
        """(C, L, P) bool by operation and the tokens of rows; only what occurs."""
        self.heads: dict[str, torch.Tensor] = {}
        """(C, L, H) bool by operation."""
        for operation in HEAD_OPERATIONS:
            some = [c if c.operation == operation else Condition() for c in conditions]
            if (heads := _stacked([c.heads for c in some])) is not None:
                self.heads[operation] = torch.from_numpy(heads).to(device)
            for spans in {c.spans for c in some}:
                given = [c.cells if c.spans == spans else None for c in some]
                if (cells := _stacked(given)) is not None:
                    self.cells[operation, spans] = torch.from_numpy(cells).to(device)
        averaged = {operation for operation, _ in self.cells} | set(self.heads)
        if means is None and "mean" in averaged:
            raise ValueError("mean-ablation needs the means of reference samples")

    def __call__(
        self,
        layer: int,
        module: nn.Module,
        eager: Attend,
        arguments: tuple[Any, ...],
        options: dict[str, Any],
    ) -> torch.Tensor:
        query, key, value, mask = arguments[:4]
        removed, averaged = (
            self._cells("remove", layer),
            self._cells("mean", layer),
        )  # (b, 1, T, T) each
        if removed is not None:
            lowest = torch.finfo(mask.dtype).min
            mask = mask.masked_fill(removed, lowest)
            silent = (mask <= lowest / 2).all(-1).transpose(1, 2)[..., None]  # (b, T, 1, 1)
        output, weights = eager(
            module, query, key, value, mask, *arguments[4:], **options
        )  # (b, T, H, d), (b, H, T, T)
        if removed is not None:
            # The softmax of a row that is masked everywhere is uniform, later tokens included.
            output = output.masked_fill(silent, 0)
        if averaged is not None:
            assert self.means is not None
            shift = (self.means.weights[layer].to(weights.dtype) - weights).masked_fill(
                ~averaged, 0
            )  # (b, H, T, T)
            shared = weights.shape[1] // value.shape[1]  # query heads per key and value head
            output = output + (shift @ value.repeat_interleave(shared, 1)).transpose(1, 2)
        for operation, heads in self.heads.items():
            if not (mine := heads[:, layer]).any():
                continue
            replaced = mine[self.row][:, None, :, None]  # (b, 1, H, 1)
            if operation == "layer_mean":
                kept = output.float().masked_fill(replaced, 0)  # (b, T, H, d)
                count = (~replaced).sum(2, keepdim=True)  # (b, 1, 1, 1)
                replacement: Any = (kept.sum(2, keepdim=True) / count).to(output.dtype)
            elif operation == "remove" or self.means is None:
                replacement = 0.0
            else:
                replacement = self.means.outputs[layer].to(output.dtype)
            output = torch.where(replaced, replacement, output)
        return output

    def _cells(self, operation: str, layer: int) -> torch.Tensor | None:
        """Return which cells of a layer fall under an operation, row by row; None where no row has
        any.
        """
        chosen: torch.Tensor | None = None
        for (own, spans), cells in self.cells.items():
            packed = cells[:, layer]  # (C, P)
            if own != operation or not packed.any():
                continue
            tokens = unpack(packed if spans is None else spans.expand(packed))  # (C, T, T)
            chosen = tokens if chosen is None else chosen | tokens
        return None if chosen is None else chosen[self.row][:, None]


def _stacked(masks: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Return masks of conditions in one array, empty where a condition has none; None where none
    has one.
    """
    shape = next((mask.shape for mask in masks if mask is not None), None)
    if shape is None:
        return None
    return np.stack([np.zeros(shape, bool) if mask is None else mask for mask in masks])


def _start(model: PreTrainedModel, first: int | None) -> int:
    """Return the layer at which a condition's forward begins; the intact model runs in full."""
    return first if first is not None and find_layers(model) is not None else 0

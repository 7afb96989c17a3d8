"""Removes feed-forward blocks of a language model, or neurons inside them, while it runs.

A block's output is what `engram.lm.feed_forward` calls so: what the layer adds to its residual
stream, before a norm or a factor in between. A *neuron* is one of the M numbers that the last
matrix of a block is multiplied with: behind the activation function, and multiplied with its gate
where the block has gates. `remove` makes an output or a neuron 0 (biases of the last matrix stay,
where a neuron is removed), `mean` makes it its mean over reference samples, per position.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from engram.io.errors import EngramError
from engram.io.workers import Switch
from engram.lm.conditions import OPERATIONS, Condition
from engram.lm.feed_forward import feed_forward_blocks
from engram.lm.finite import check_finite
from engram.lm.inputs import model_input
from engram.lm.models import in_batches

Edit = Callable[[int, torch.Tensor], torch.Tensor | None]
"""From a layer, counted from 0, and its values (b, T', d or M) to what replaces them; None keeps
them."""

_edits: ContextVar[dict[str, Edit]] = ContextVar("feed-forward edits")
_switches: weakref.WeakKeyDictionary[PreTrainedModel, dict[str, Switch]] = (
    weakref.WeakKeyDictionary()
)
_lock = Lock()


@dataclass(frozen=True)
class FeedForwardMeans:
    """What reference samples do on average in the intact model: the replacements of `mean`."""

    blocks: torch.Tensor
    """Outputs of the blocks, float32 (L, T', d); T' = B + T positions of opening and window."""
    neurons: torch.Tensor | None = None
    """float32 (L, T', M), where they were asked for."""


def last_matrices(model: PreTrainedModel) -> list[nn.Module]:
    """Return the last matrix of every feed-forward block, whose inputs are the neurons.

    Raises:
        EngramError: as `feed_forward_blocks`; or a block does not end in one matrix, as in mixtures
            of experts, or blocks have different numbers of neurons.
    """
    width = model.config.get_text_config().hidden_size
    found: list[nn.Module] = []
    for block in feed_forward_blocks(model):
        matrices = [
            module
            for module in (block, *block.children())
            if isinstance(module, nn.Linear | Conv1D)
        ]
        if matrices and _shape(matrices[-1])[1] == width:
            found.append(matrices[-1])
    layers = model.config.get_text_config().num_hidden_layers
    sizes = {_shape(matrix)[0] for matrix in found}
    if len(found) < layers or len(sizes) > 1:
        raise EngramError(
            f"model {model.name_or_path}: {len(found)} of the {layers} feed-forward blocks of "
            f"{type(model).__name__} end in one matrix, with {sorted(sizes)} neurons; single "
            f"neurons need one number of neurons in all layers, so choose blocks"
        )
    return found


def neurons_per_layer(model: PreTrainedModel) -> int:
    """Return M, the number of neurons of a feed-forward block.

    Raises:
        EngramError: as `last_matrices`.
    """
    return _shape(last_matrices(model)[0])[0]


def _shape(matrix: nn.Module) -> tuple[int, int]:
    """Return how many numbers a matrix reads and puts out."""
    if isinstance(matrix, nn.Linear):
        return matrix.in_features, matrix.out_features
    weight: Any = matrix.weight
    return weight.shape[0], weight.shape[1]


@contextmanager
def feed_forward_hook(
    model: PreTrainedModel,
    sequences: int,
    blocks: Edit | None = None,
    neurons: Edit | None = None,
) -> Iterator[None]:
    """While open, hand what feed-forward blocks compute in this thread to functions that may
    replace it. The model has no hooks left afterwards, also after an error.

    Args:
        model: the model.
        sequences: b of the forwards, since some architectures hand the rows of all sequences on as
            one list of tokens.
        blocks: for the outputs of blocks.
        neurons: for their neurons.

    Raises:
        EngramError: as `feed_forward_blocks`, and with `neurons` as `last_matrices`.
    """
    given = {
        name: _by_sequence(edit, sequences)
        for name, edit in (("blocks", blocks), ("neurons", neurons))
        if edit is not None
    }
    with _lock:
        known = _switches.setdefault(model, {})
        for name in given.keys() - known.keys():
            modules = feed_forward_blocks(model) if name == "blocks" else last_matrices(model)
            known[name] = _hooked(name, modules)
    token = _edits.set(given)
    try:
        with _all_on([known[name] for name in given]):
            yield
    finally:
        _edits.reset(token)


def _by_sequence(edit: Edit, sequences: int) -> Edit:
    """Return an edit that takes values of any shape (…, d) as (b, T', d)."""

    def call(layer: int, values: torch.Tensor) -> torch.Tensor | None:
        edited = edit(layer, values.reshape(sequences, -1, values.shape[-1]))
        return None if edited is None else edited.reshape(values.shape)

    return call


@contextmanager
def _all_on(switches: Sequence[Switch]) -> Iterator[None]:
    if not switches:
        yield
        return
    with switches[0], _all_on(switches[1:]):
        yield


def _hooked(name: str, modules: Sequence[nn.Module]) -> Switch:
    """Return what puts hooks on modules of all layers: on their outputs for `blocks`, on their
    inputs for `neurons`.
    """
    handles: list[Any] = []

    def leave(layer: int) -> Callable[[nn.Module, Any, Any], Any]:
        def call(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            # Mixtures of experts put out their router's logits too.
            in_tuple = isinstance(output, tuple)
            if (edit := _edits.get({}).get(name)) is None:
                return None
            edited = edit(layer, output[0] if in_tuple else output)
            return (edited, *output[1:]) if in_tuple and edited is not None else edited

        return call

    def enter(layer: int) -> Callable[[nn.Module, Any], Any]:
        def call(_module: nn.Module, inputs: Any) -> Any:
            if (edit := _edits.get({}).get(name)) is None:
                return None
            edited = edit(layer, inputs[0])
            return None if edited is None else (edited, *inputs[1:])

        return call

    def on() -> None:
        for layer, module in enumerate(modules):
            handles.append(
                module.register_forward_hook(leave(layer))
                if name == "blocks"
                else module.register_forward_pre_hook(enter(layer))
            )

    def off() -> None:
        while handles:
            handles.pop().remove()

    return Switch(on, off)


def average_feed_forward(
    model: PreTrainedModel, tokens: np.ndarray, batch_tokens: int, *, neurons: bool
) -> FeedForwardMeans:
    """Return the mean outputs of the intact model's blocks over reference samples (n, T), and those
    of their neurons where they are asked for.

    Raises:
        EngramError: no sample, a value that is not finite, or as `feed_forward_hook`.
    """
    if not len(tokens):
        raise EngramError("feed-forward blocks: no reference samples to average over; give some")
    windows = torch.as_tensor(np.asarray(tokens), dtype=torch.long)

    def run(part: slice) -> dict[str, torch.Tensor]:
        batch = windows[part].to(model.device)  # (b, T)
        sums: dict[str, list[torch.Tensor]] = {"blocks": [], "neurons": []}

        def adder(name: str) -> Edit:
            def add(_layer: int, values: torch.Tensor) -> None:
                sums[name].append(values.sum(0, dtype=torch.float64))  # (T', d)

            return add

        inside = adder("neurons") if neurons else None
        with torch.inference_mode(), feed_forward_hook(model, len(batch), adder("blocks"), inside):
            read = model_input(model, batch)
            model.base_model(input_ids=read, attention_mask=torch.ones_like(read), use_cache=False)
        return {name: torch.stack(values) for name, values in sums.items() if values}

    total: dict[str, torch.Tensor] = {}
    rows = max(1, batch_tokens // windows.shape[1])
    for _, sums in in_batches(run, len(windows), rows, "mean blocks", model.device):
        total = {name: total[name] + value if total else value for name, value in sums.items()}
    means = {name: (value / len(windows)).float() for name, value in total.items()}
    for values in means.values():
        check_finite(model, values, "feed-forward activations")
    return FeedForwardMeans(**means)


class FeedForwardRemoval:
    """Replaces feed-forward blocks and neurons in a batch whose rows are under different
    conditions.

    Args:
        conditions: of the batch, C.
        row: the condition of each row, (b,), on the model's device.
        means: needed where an operation is `mean`.
    """

    def __init__(
        self,
        conditions: Sequence[Condition],
        row: torch.Tensor,
        means: FeedForwardMeans | None,
    ) -> None:
        self._row, self._means = row, means
        self._masks: dict[str, dict[str, torch.Tensor]] = {"blocks": {}, "neurons": {}}
        for name, of_operation in self._masks.items():
            for operation in OPERATIONS:
                given = [
                    getattr(condition, name) if condition.operation == operation else None
                    for condition in conditions
                ]
                shape = next((mask.shape for mask in given if mask is not None), None)
                if shape is not None:
                    stacked = [np.zeros(shape, bool) if mask is None else mask for mask in given]
                    of_operation[operation] = torch.from_numpy(np.stack(stacked)).to(row.device)
        if any("mean" in masks for masks in self._masks.values()) and means is None:
            raise ValueError("mean-ablation needs the means of reference samples")

    @contextmanager
    def open(self, model: PreTrainedModel) -> Iterator[None]:
        """While open, remove what the conditions name from this thread's forward."""
        if not any(self._masks.values()):
            yield
            return
        with feed_forward_hook(
            model,
            len(self._row),
            self._edit("blocks") if self._masks["blocks"] else None,
            self._edit("neurons") if self._masks["neurons"] else None,
        ):
            yield

    def _edit(self, name: str) -> Edit:
        def edit(layer: int, values: torch.Tensor) -> torch.Tensor | None:
            edited = None
            for operation, masks in self._masks[name].items():
                of_layer = masks[:, layer]  # (C,) or (C, M)
                if not of_layer.any():
                    continue
                replaced = of_layer[self._row].reshape(len(self._row), 1, -1)  # (b, 1, 1 or M)
                replacement: Any = 0.0
                if operation == "mean":
                    means = getattr(self._means, name)
                    if means is None:
                        raise ValueError(f"mean-ablation needs the means of {name}")
                    replacement = means[layer].to(values.dtype)
                values = edited = torch.where(replaced, replacement, values)
            return edited

        return edit

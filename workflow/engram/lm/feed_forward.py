"""What the feed-forward blocks of a language model put out, averaged over the tokens of a sequence.

It is the block's output, which the layer adds to its residual stream (where there is a norm or a
factor in between: before that), and not the activations inside the block. The output has the same
width in every architecture, mixtures of experts included, and is a linear image of the activations:
what it leaves out of them, the model does not use."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from inspect import signature
from threading import Lock
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.io.workers import Switch
from engram.lm.finite import check_finite
from engram.lm.inputs import model_input

BLOCKS = ("mlp", "ffn", "feed_forward")
"""What architectures call the feed-forward block of a layer."""
LAST = "fc2"
"""What those call its last matrix that have no block."""

_recorder: ContextVar[Callable[[torch.Tensor], None]] = ContextVar("feed-forward recorder")
_switches: weakref.WeakKeyDictionary[PreTrainedModel, Switch] = weakref.WeakKeyDictionary()
_lock = Lock()


def pooled_feed_forward(model: PreTrainedModel, tokens: torch.Tensor) -> torch.Tensor:
    """Return the mean over a window's tokens of every feed-forward block's output, (b, L, d)
    float32.

    Args:
        tokens: windows (b, T) on the model's device; every token is attended to. The model's
            opening is read and left out of the mean.

    Raises:
        EngramError: as `feed_forward_blocks`, or a value is not finite.
    """
    read = model_input(model, tokens)  # (b, B + T)
    first = read.shape[1] - tokens.shape[1]
    means: list[torch.Tensor] = []

    def record(output: torch.Tensor) -> None:
        # Some architectures hand rows of all sequences on as one list of tokens.
        of_tokens = output.reshape(*read.shape, -1)
        means.append(of_tokens[:, first:].mean(1, dtype=torch.float32))

    with _recording(model, record), torch.no_grad():
        model.base_model(input_ids=read, attention_mask=torch.ones_like(read), use_cache=False)
    pooled = torch.stack(means, 1)  # (b, L, d)
    check_finite(model, pooled, "feed-forward activations")
    return pooled


def feed_forward_blocks(model: PreTrainedModel) -> list[nn.Module]:
    """Return the module of every layer that puts out what its feed-forward block computes, L.

    Raises:
        EngramError: the model has no list of layers, or a layer has no such module.
    """
    count = model.config.get_text_config().num_hidden_layers
    lists = (module for module in model.base_model.modules() if isinstance(module, nn.ModuleList))
    layers = next((modules for modules in lists if len(modules) == count), nn.ModuleList())
    found = [block for layer in layers if (block := _block(layer)) is not None]
    if len(found) != count:
        raise EngramError(
            f"model {model.name_or_path}: {type(model).__name__} has feed-forward blocks "
            f"({', '.join(BLOCKS)} or {LAST}) in {len(found)} of its {count} layers; leave "
            f"feed_forward out of crossed.inputs and mechanisms"
        )
    return found


def _block(layer: nn.Module) -> nn.Module | None:
    children = dict(layer.named_children())
    block = next((children[name] for name in BLOCKS if name in children), None)
    if block is None:
        return children.get(LAST)
    if "residual" not in signature(block.forward).parameters:
        return block
    # The block adds the residual stream itself: its output is that of its last matrix.
    matrices = [module for module in block.children() if isinstance(module, nn.Linear)]
    return matrices[-1] if matrices else None


@contextmanager
def _recording(model: PreTrainedModel, record: Callable[[torch.Tensor], None]) -> Iterator[None]:
    """While open, hand what the blocks put out in this thread to `record`; threads that run one
    model share its hooks.
    """
    with _lock:
        if (switch := _switches.get(model)) is None:
            switch = _switches[model] = _hooked(feed_forward_blocks(model))
    token = _recorder.set(record)
    try:
        with switch:
            yield
    finally:
        _recorder.reset(token)


def _hooked(blocks: list[nn.Module]) -> Switch:
    """Return what puts hooks on the blocks."""
    handles: list[Any] = []

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        # Mixtures of experts put out their router's logits too.
        if record := _recorder.get(None):
            record(output[0] if isinstance(output, tuple) else output)

    def on() -> None:
        handles.extend(block.register_forward_hook(hook) for block in blocks)

    def off() -> None:
        for handle in handles:
            handle.remove()
        handles.clear()

    return Switch(on, off)

"""The one way into a model's attention: a function that computes it, layer by layer, while a
forward runs.

Pooling and knock-outs stand on it. The architecture's own eager attention is handed to the
function, so sliding windows, attention sinks, logit caps and grouped queries stay the model's own.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
from torch import nn
from transformers import AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from engram.io.errors import EngramError
from engram.io.workers import Switch

INTERFACE = "engram"
"""The name of our attention in `transformers`' registry."""

Attend = Callable[..., tuple[torch.Tensor, torch.Tensor]]
"""An eager attention function: from module, query, key, value, mask and options to the heads'
outputs (b, T, H, d) and their softmax weights (b, H, T, T)."""
Hook = Callable[[int, nn.Module, Attend, tuple[Any, ...], dict[str, Any]], torch.Tensor]
"""From a layer's number, its attention module, its eager attention and the arguments of that to the
heads' outputs (b, T, H, d)."""


@dataclass
class _Open:
    """The hook of the forward that runs in this thread."""

    hook: Hook
    layer: int
    """The next layer to be computed."""


_open: ContextVar[_Open] = ContextVar("attention_hook")
_switches: weakref.WeakKeyDictionary[PreTrainedModel, dict[str, Switch]] = (
    weakref.WeakKeyDictionary()
)
"""Of every model in use, by the implementation that they switch to."""
_lock = Lock()


def _attend(module: nn.Module, *arguments: Any, **options: Any) -> tuple[torch.Tensor, None]:
    opened = _open.get()
    layer, opened.layer = opened.layer, opened.layer + 1
    return opened.hook(layer, module, eager_attention(module), arguments, options), None


@contextmanager
def attention_hook(model: PreTrainedModel, hook: Hook, first: int = 0) -> Iterator[None]:
    """While it is open, `hook` computes the attention of every layer of one forward of the
    model.

    The model's attention implementation is the former one afterwards, also after an error. Threads
    do not disturb one another.

    Args:
        model: the model.
        hook: see `Hook`.
        first: the layer at which the forward begins.

    Raises: EngramError: the architecture does not take its attention from the registry, or not
        every layer computes softmax attention.
    """
    if not has_interface(model):
        raise EngramError(
            f"{type(model).__name__}: its attention cannot be exchanged, so nothing can be knocked "
            f"out of it"
        )
    if INTERFACE not in ALL_ATTENTION_FUNCTIONS:
        ALL_ATTENTION_FUNCTIONS.register(INTERFACE, _attend)
        # An implementation without its own mask function gets no mask at all, not even the
        # causal one.
        AttentionMaskInterface.register(INTERFACE, eager_mask)
    opened = _Open(hook, first)
    token = _open.set(opened)
    try:
        with implementation(model, INTERFACE):
            yield
    finally:
        _open.reset(token)
    check_layers(model, opened.layer)


def check_layers(model: PreTrainedModel, computed: int) -> None:
    """Refuse architectures in which some layers compute no softmax attention.

    Raises:
        EngramError: fewer or more layers were computed than the model has.
    """
    layers = model.config.get_text_config().num_hidden_layers
    if computed != layers:
        name = type(model).__name__
        raise EngramError(
            f"{name}: {computed} of its {layers} layers compute softmax attention; choose a model "
            f"in which all do"
        )


def eager_attention(module: nn.Module) -> Attend:
    """Return the eager attention function of the file that defines an attention module."""
    for parent in type(module).__mro__:
        if (
            function := getattr(sys.modules[parent.__module__], "eager_attention_forward", None)
        ) is not None:
            return function
    raise EngramError(
        f"{type(module).__name__}: its architecture has no eager attention function, so its "
        f"weights cannot be seen"
    )


def has_interface(model: PreTrainedModel) -> bool:
    """Return whether the architecture takes its attention from the registry; GPT-2's upcast variant
    passes the registry by.
    """
    return model._can_set_attn_implementation() and not getattr(
        model.config, "reorder_and_upcast_attn", False
    )


@contextmanager
def implementation(model: PreTrainedModel, name: str) -> Iterator[None]:
    """Switch a model's attention implementation for a while, where the architecture can
    switch at all.

    Threads that run one model at a time share the switch, and ask for one implementation.

    Raises:
        RuntimeError: another thread needs another implementation of this model.
    """
    if not model._can_set_attn_implementation():
        yield
        return
    with ExitStack() as held:
        with _lock:
            switches = _switches.setdefault(model, {})
            if name not in switches:
                switches[name] = _switch(model, name)
            if any(other.held_elsewhere for key, other in switches.items() if key != name):
                name_of_model = type(model).__name__
                raise RuntimeError(f"{name_of_model}: two implementations of attention at once")
            held.enter_context(switches[name])
        yield


def _switch(model: PreTrainedModel, name: str) -> Switch:
    """Return the switch of a model to an implementation and back to the former one."""
    previous: dict[str, str | None] = {}
    # The model holds the switch, in a weak dictionary.
    reference = weakref.ref(model)

    def on() -> None:
        model = reference()
        assert model is not None
        previous.clear()
        previous[""] = model.config._attn_implementation
        for key in model.config.sub_configs:
            if (part := getattr(model.config, key)) is not None:
                previous[key] = part._attn_implementation
        try:
            model.set_attn_implementation(name)
        except BaseException:
            off()
            raise

    def off() -> None:
        model = reference()
        assert model is not None
        model.set_attn_implementation(dict(previous))

    return Switch(on, off)

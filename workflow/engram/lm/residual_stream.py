"""The residual stream of a language model: what flows from layer to layer.

*Depth* 0 is what enters the first layer (embeddings, with positions where a model adds them), depth
l is what layer l puts out, and depth L, after the last layer, is what the final norm reads.

Three ways into it, which threads that run one model at a time may use together:

* `residual_hook` reads and edits the stream at every depth while a forward runs;
* `starting_from` and `passing_on` let a forward begin at a depth, with hidden states that were
  computed before;
* `Unembedding` gives the logits of a state as if it were that of the last layer.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.io.workers import Switch
from engram.lm.attention_hook import implementation
from engram.lm.inputs import model_input
from engram.lm.models import in_batches

ResidualHook = Callable[[int, torch.Tensor], torch.Tensor | None]
"""From a depth and the hidden states there, (b, B + T, width), to what replaces them; None keeps
them."""

_hook: ContextVar[ResidualHook | None] = ContextVar("residual_hook", default=None)
_entering: ContextVar[tuple[int, torch.Tensor] | None] = ContextVar(
    "the layers that pass on states, and the states", default=None
)
_switches: weakref.WeakKeyDictionary[PreTrainedModel, Switch] = weakref.WeakKeyDictionary()
_lock = Lock()


def find_layers(model: PreTrainedModel) -> nn.ModuleList | None:
    """Return the list of a model's layers, if it has one."""
    layers = model.config.get_text_config().num_hidden_layers
    lists = (module for module in model.base_model.modules() if isinstance(module, nn.ModuleList))
    return next((modules for modules in lists if len(modules) == layers), None)


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """Return the list of a model's layers.

    Raises:
        EngramError: it has none.
    """
    if (layers := find_layers(model)) is None:
        raise EngramError(
            f"{type(model).__name__}: its layers are not in one list, so its residual stream "
            f"cannot be read; choose a decoder of the usual form"
        )
    return layers


@contextmanager
def residual_hook(model: PreTrainedModel, hook: ResidualHook) -> Iterator[None]:
    """While open, call `hook` at every depth, 0 to L, of this thread's forwards.

    The model has no hooks left afterwards, also after an error.

    Raises:
        EngramError: as `decoder_layers`.
    """
    layers = decoder_layers(model)
    with _lock:
        switch = _switches.setdefault(model, _hooked(layers))
    token = _hook.set(hook)
    try:
        with switch:
            yield
    finally:
        _hook.reset(token)


def _hooked(layers: nn.ModuleList) -> Switch:
    """Return what puts hooks on layers, and takes them off."""
    handles: list[Any] = []

    def enter(_layer: nn.Module, arguments: Any, options: dict[str, Any]) -> Any:
        hook = _hook.get()
        if hook is None:
            return None
        hidden = arguments[0] if arguments else options["hidden_states"]
        if (edited := hook(0, hidden)) is None:
            return None
        if arguments:
            return (edited, *arguments[1:]), options
        return arguments, {**options, "hidden_states": edited}

    def leave(depth: int) -> Callable[[nn.Module, Any, Any], Any]:
        def call(_layer: nn.Module, _arguments: Any, output: Any) -> Any:
            hook = _hook.get()
            if hook is None:
                return None
            in_tuple = isinstance(output, tuple)
            edited = hook(depth, output[0] if in_tuple else output)
            return (edited, *output[1:]) if in_tuple and edited is not None else edited

        return call

    def on() -> None:
        handles.append(layers[0].register_forward_pre_hook(enter, with_kwargs=True))
        for number, layer in enumerate(layers, start=1):
            handles.append(layer.register_forward_hook(leave(number)))

    def off() -> None:
        while handles:
            handles.pop().remove()

    return Switch(on, off)


# --- forwards that begin at a depth


@dataclass(frozen=True)
class LowerLayers:
    """The intact hidden states that enter a layer."""

    hidden: torch.Tensor
    """(n, B + T, width), on the model's device."""
    depth: int
    """Of these states."""
    skipping: Switch
    """Makes the layers below it pass on hidden states."""


def run_lower_layers(
    model: PreTrainedModel,
    windows: torch.Tensor,
    depth: int,
    rows: int,
    attention: str | None = "eager",
) -> LowerLayers:
    """Run the intact model up to a depth.

    Args:
        model: the model.
        windows: tokens (n, T).
        depth: 1 … L.
        rows: most sequences of a batch.
        attention: the implementation of attention; None keeps the model's own.
    """
    layers = decoder_layers(model)

    def stop(_module: nn.Module, _inputs: Any, output: Any) -> None:
        raise _Enough(output)

    def run(part: slice) -> Any:
        chosen = implementation(model, attention) if attention else nullcontext()
        try:
            with torch.inference_mode(), chosen:
                batch = windows[part].to(model.device)  # (b, T)
                return model.base_model(input_ids=model_input(model, batch), use_cache=False)
        except _Enough as enough:
            return enough.output

    handle = layers[depth - 1].register_forward_hook(stop)
    try:
        outputs = [
            output
            for _, output in in_batches(
                run, len(windows), rows, f"layers below {depth + 1}", model.device
            )
        ]
    finally:
        handle.remove()
    in_tuple = isinstance(outputs[0], tuple)
    return LowerLayers(
        torch.cat([output[0] if in_tuple else output for output in outputs]),
        depth,
        skipping(list(layers[:depth]), in_tuple),
    )


class _Enough(Exception):
    """Ends a forward whose rest is not needed, and brings a layer's output out of it."""

    def __init__(self, output: Any) -> None:
        self.output = output


@contextmanager
def starting_from(below: LowerLayers | None, samples: torch.Tensor) -> Iterator[None]:
    """While open, make the skipped layers pass on the intact hidden states of the samples;
    workers of one model pass on their own.
    """
    if below is None:
        yield
        return
    hidden = below.hidden[samples.to(below.hidden.device)]  # (b, B + T, width)
    with passing_on(below.depth, hidden, below.skipping):
        yield


@contextmanager
def passing_on(depth: int, hidden: torch.Tensor, switch: Switch) -> Iterator[None]:
    """While open, make the layers below a depth pass on hidden states of this depth, in this
    thread's forwards.

    Args:
        depth: 1 … L.
        hidden: (b, S, width), for a forward over b rows of S positions.
        switch: of `skipping`, for these layers at least; workers may begin at different depths of
            one.
    """
    token = _entering.set((depth, hidden))
    try:
        with switch:
            yield
    finally:
        _entering.reset(token)


def skipping(layers: Sequence[nn.Module], in_tuple: bool) -> Switch:
    """Return what makes layers pass on the hidden states of `passing_on`.

    Threads that have none to pass on compute the layers.

    Args:
        layers: the model's lowest.
        in_tuple: whether layers of this architecture put out a tuple.
    """

    def handing_on(number: int, layer: nn.Module) -> Callable[..., Any]:
        own = layer.forward

        def forward(*arguments: Any, **options: Any) -> Any:
            entering = _entering.get()
            if entering is None or number > entering[0]:
                return own(*arguments, **options)
            return (entering[1],) if in_tuple else entering[1]

        return forward

    def on() -> None:
        for number, layer in enumerate(layers, start=1):
            layer.forward = handing_on(number, layer)  # type: ignore[method-assign]

    def off() -> None:
        for layer in layers:
            layer.__dict__.pop("forward", None)

    return Switch(on, off)


def skipping_any(model: PreTrainedModel) -> Switch:
    """Return `skipping` for all layers of a model; runs it on one token, to see what they put out.

    Raises:
        EngramError: as `decoder_layers`.
    """
    layers = decoder_layers(model)
    shapes: list[bool] = []
    handle = layers[0].register_forward_hook(
        lambda _layer, _inputs, output: shapes.append(isinstance(output, tuple))
    )
    try:
        with torch.inference_mode():
            token = torch.zeros(1, 1, dtype=torch.long, device=model.device)
            model.base_model(input_ids=token, use_cache=False)
    finally:
        handle.remove()
    return skipping(list(layers), shapes[0])


# --- the logits of a hidden state


class Unembedding:
    """What a model does after its last layer: final norm, unembedding, scaling and capping.

    It is the model's own forward with all layers skipped, so whatever an architecture does there is
    done.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        """Prepare it; runs the model on one token, to see what its layers put out.

        Raises:
            EngramError: as `decoder_layers`.
        """
        self._model, self._switch = model, skipping_any(model)
        self._layers = len(decoder_layers(model))

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits of hidden states of depth L, or of another as if they were,
        (b, S, width) -> (b, S, V); with a gradient where the states have one.
        """
        read = torch.zeros(hidden.shape[:2], dtype=torch.long, device=hidden.device)
        without = nullcontext() if hidden.requires_grad else torch.inference_mode()
        with without, passing_on(self._layers, hidden, self._switch):
            return self._model(
                input_ids=read, attention_mask=torch.ones_like(read), use_cache=False
            ).logits

"""Which weights of a language model a drilling changes: all, those of its last layers, or updates
of low rank that are merged into the matrices at the end; and what its forward pass leaves out or
does twice meanwhile.

Where one trains may decide where one finds: a model whose first layers are frozen holds nothing
new in them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from engram.io.errors import EngramError

SCALE = 2.0
"""What the product of an update's two matrices is multiplied by (α / rank of arXiv 2106.09685)."""
_DOWN, _UP = "update_down", "update_up"


@contextmanager
def chosen_weights(model: PreTrainedModel, trainable: str, seed: int = 0) -> Iterator[None]:
    """Let gradients reach the chosen weights alone; at the end, updates of low rank are merged, and
    every weight takes gradients again.

    Args:
        model: the model, changed in place.
        trainable: `all`, `last:<layers>` or `lora:<rank>`.
        seed: of the updates' first values. Their second matrices begin with zeros, so that the
            model is what it was.

    Raises:
        EngramError: the model has fewer layers, or no matrices in its layers.
    """
    kind, _, number = trainable.partition(":")
    if kind == "all":
        yield
        return
    layers = _layers(model)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    try:
        if kind == "last":
            if int(number) > len(layers):
                raise EngramError(
                    f"drilling.training.trainable: {trainable}, but the model has {len(layers)} "
                    f"layers; lower it, or train all"
                )
            for parameter in layers[len(layers) - int(number) :].parameters():
                parameter.requires_grad_(True)
            yield
            return
        updated = _add_updates(layers, int(number), seed)
        yield
        _merge_updates(updated)
    finally:
        for parameter in model.parameters():
            parameter.requires_grad_(True)


def trained_parameters(model: PreTrainedModel) -> dict[str, nn.Parameter]:
    """Return the parameters that gradients reach, by name."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def without_dropout(model: PreTrainedModel) -> None:
    """Switch every dropout of a model off, which would draw its bits in an order that the threads
    decide; its configuration keeps them.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in list(vars(module).items()):
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, 0.0)


@contextmanager
def recomputed_activations(model: PreTrainedModel, wanted: bool) -> Iterator[None]:
    """Keep no activation inside a layer for the backward pass, which computes it again.

    Args:
        model: without dropout.
        wanted: False leaves everything as it is.
    """
    layers = list(_layers(model)) if wanted else []
    for layer in layers:
        layer.forward = partial(
            checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False
        )
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _layers(model: PreTrainedModel) -> nn.ModuleList:
    """Return the list of a model's layers."""
    wanted = model.config.get_text_config().num_hidden_layers
    for module in model.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == wanted:
            return module
    raise EngramError(
        f"drilling.training.trainable: {type(model).__name__} has no list of {wanted} layers; set "
        f"it to all"
    )


def _add_updates(layers: nn.ModuleList, rank: int, seed: int) -> list[nn.Module]:
    """Give every matrix of the layers an update, and return the modules that have one."""
    generator = torch.Generator().manual_seed(seed)
    updated: list[nn.Module] = []
    for module in layers.modules():
        if not isinstance(module, (nn.Linear, Conv1D)):
            continue
        weight = module.weight
        inner, outer = weight.shape if isinstance(module, Conv1D) else reversed(weight.shape)
        down = torch.randn(inner, rank, generator=generator) / math.sqrt(inner)
        device = weight.device
        module.register_parameter(_DOWN, nn.Parameter(down.to(device)))
        module.register_parameter(_UP, nn.Parameter(torch.zeros(rank, outer, device=device)))
        module.register_forward_hook(_updated)
        updated.append(module)
    if not updated:
        raise EngramError(
            "drilling.training.trainable: the model's layers hold no matrices that an update of "
            "low rank can be added to; set it to all"
        )
    return updated


def _updated(
    module: nn.Module, inputs: tuple[torch.Tensor, ...], out: torch.Tensor
) -> torch.Tensor:
    """Return the output of a module with its update."""
    return out + SCALE * (inputs[0] @ getattr(module, _DOWN) @ getattr(module, _UP))


@torch.no_grad()
def _merge_updates(modules: list[nn.Module]) -> None:
    """Add the updates to their matrices and take them away."""
    for module in modules:
        product = SCALE * (getattr(module, _DOWN) @ getattr(module, _UP))  # (inner, outer)
        module.weight += product if isinstance(module, Conv1D) else product.T
        delattr(module, _DOWN)
        delattr(module, _UP)
        for number, hook in list(module._forward_hooks.items()):
            if hook is _updated:
                del module._forward_hooks[number]

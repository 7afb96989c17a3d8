"""Devices by name, and whether this machine has them."""

from __future__ import annotations

import torch

from engram.io.errors import EngramError


def check_device(device: torch.device | str, key: str) -> torch.device:
    """Return a device that torch can use here.

    Args:
        device: `cpu`, `cuda` (also `cuda:1`) or `mps`, the GPU of an Apple computer.
        key: what asks for it, for the message.

    Raises:
        EngramError: an unknown name, or a device that this machine or this build of torch lacks.
    """
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise EngramError(f"{key}: {device}; choose cpu, cuda or mps") from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise EngramError(
            f"{key}: {device}, but this machine has no GPU that torch can use; take cpu"
        )
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise EngramError(
            f"{key}: {device}, but torch finds no Apple GPU (MPS) on this machine; take cpu"
        )
    return chosen

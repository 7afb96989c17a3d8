"""Safetensors files with a checksum of all they hold: CNNs, and the states that killed jobs go on
from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from engram.io.artifacts import whole
from engram.io.checksums import ATTRIBUTE, BROKEN, DAMAGED, named_crc
from engram.io.errors import EngramError, reason

NAME = "file"
"""Where the metadata hold the name of the file: parts are named by all that decides them."""


def write_tensors(
    tensors: Mapping[str, torch.Tensor], path: Path, metadata: Mapping[str, str]
) -> None:
    """Writes tensors and metadata, whole or not at all."""
    with whole(path) as temporary:
        stored = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        header = {**metadata, NAME: path.name}
        save_file(stored, temporary, {**header, ATTRIBUTE: str(_crc(stored, header))})


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """What `write_tensors` wrote: tensors, on the processor and by sorted name, and metadata.

    Raises:
        EngramError: no such file, another kind of file, another file's content, or content that
            does not match its checksum.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except FileNotFoundError:
        raise EngramError(f"{path}: no such file") from None
    except (SafetensorError, *BROKEN) as error:
        raise EngramError(
            f"{path}: not a readable file of tensors ({reason(error)}); delete it to have it made "
            f"anew"
        ) from None
    if metadata.pop(ATTRIBUTE, None) != str(_crc(tensors, metadata)):
        raise EngramError(f"{path}: {DAMAGED}")
    if (name := metadata.pop(NAME)) != path.name:
        raise EngramError(
            f"{path}: it holds a file that was written as {name}; delete it to have the right one "
            f"made"
        )
    return tensors, metadata


def _crc(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> int:
    values = {
        name: tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
        for name, tensor in tensors.items()
    }
    shapes = {name: f"{tensor.dtype} {tuple(tensor.shape)}" for name, tensor in tensors.items()}
    return named_crc([*sorted(metadata.items()), *sorted(shapes.items()), *sorted(values.items())])

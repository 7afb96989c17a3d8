"""The control for learned attention: the same model with its weights in random order.

Within every tensor the trained values are permuted. Architecture, and the distribution of each
tensor's values, stay as they are, so that attention is about as peaked as a network of these
weights can make it; what training wrote into the weights is gone. Fresh weights of the usual
initialisation would be a weaker control: they are so small that attention is almost uniform.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import torch

from engram.lm.inputs import RECORD
from engram.lm.models import load_model


def write_random_twin(folder: Path, dtype: str, seed: int, output: Path) -> None:
    """Write the model of a folder with permuted weights: `config.json`, one `model.safetensors`,
    and what its sequences begin with.

    Args:
        folder: the trained model.
        dtype: precision in which it is loaded and written.
        seed: of the permutations; with the name of a tensor it decides that tensor's.
        output: folder of the twin.
    """
    model = load_model(folder, dtype=dtype, device="cpu")
    for name, parameter in model.named_parameters():  # tied weights come once
        digest = hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest) >> 1)
        flat = parameter.data.flatten()
        parameter.data.copy_(
            flat[torch.randperm(len(flat), generator=generator)].view_as(parameter)
        )
    partial = output.with_name(f".{output.name}.partial")
    try:
        model.save_pretrained(partial, max_shard_size="100TB")
        if (folder / RECORD).is_file():
            shutil.copyfile(folder / RECORD, partial / RECORD)
        shutil.rmtree(output, ignore_errors=True)
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)

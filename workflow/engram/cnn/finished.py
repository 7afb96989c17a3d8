"""Finished CNNs, kept so that a killed job goes on and another study finds what it shares."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import torch

from engram.cnn.dataset import Dataset
from engram.cnn.key import CnnKey
from engram.cnn.settings import CnnSettings
from engram.cnn.training import TrainedCnn
from engram.io.errors import EngramError
from engram.io.tensors import read_tensors, write_tensors

log = logging.getLogger(__name__)


def part_files(
    dataset: Dataset, settings: CnnSettings, selection: str, parts: Path, code: str
) -> dict[CnnKey, Path]:
    """Return the file of each finished CNN; its name covers all that decides it, code included."""
    samples = _digest(dataset.sequence_id, dataset.label, dataset.split.astype(bytes))
    architectures = settings.grid()
    maps = {
        where: _digest(dataset.maps(*where))
        for where in {(key.input, shape.head_pooling) for key, shape in architectures.items()}
    }
    common = [
        samples,
        list(dataset.classes),
        settings.training(),
        selection,
        torch.__version__,
        code,
    ]
    files = {}
    for key, shape in architectures.items():
        text = json.dumps(
            [*common, maps[key.input, shape.head_pooling], key.path, vars(shape)], sort_keys=True
        )
        files[key] = (
            parts / f"{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}.safetensors"
        )
    return files


def _digest(*arrays: np.ndarray) -> str:
    """Of the arrays' types, shapes and bytes."""
    sha = hashlib.blake2b(digest_size=16)
    for array in arrays:
        sha.update(f"{array.dtype} {array.shape} ".encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()


def write_part(path: Path, trained: TrainedCnn) -> None:
    tensors = {f"parameter/{name}": value for name, value in trained.parameters.items()}
    tensors |= {
        name: torch.from_numpy(getattr(trained, name)) for name in ("row", "epoch", "logits")
    }
    write_tensors(tensors, path, {"history": json.dumps(trained.history)})


def read_part(path: Path) -> TrainedCnn | None:
    """The CNN kept under `path`; None where there is none, or one that cannot be read and is
    trained again.
    """
    if not path.exists():
        return None
    try:
        tensors, metadata = read_tensors(path)
    except EngramError as error:
        log.warning("%s; training the CNN again", error)
        return None
    parameters = {
        name.removeprefix("parameter/"): value
        for name, value in tensors.items()
        if name.startswith("parameter/")
    }
    return TrainedCnn(
        parameters,
        json.loads(metadata["history"]),
        *(tensors[name].numpy() for name in ("row", "epoch", "logits")),
    )

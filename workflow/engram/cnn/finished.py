"""Finished CNNs as pieces of `engram.io.parts`: a killed job resumes, and another study finds what
it shares."""

from __future__ import annotations

import json

import torch

from engram.cnn.dataset import Dataset
from engram.cnn.key import CnnKey
from engram.cnn.settings import CnnSettings
from engram.cnn.training import TrainedCnn
from engram.io.hashing import content_digest
from engram.io.parts import Piece

_PARAMETER = "parameter/"
_OUTPUTS = ("row", "epoch", "logits")


def piece_keys(
    dataset: Dataset, settings: CnnSettings, selection: str, code: str
) -> dict[CnnKey, str]:
    """Return the key of each CNN's piece: a digest of all that decides the CNN, code included."""
    samples = content_digest(dataset.sequence_id, dataset.label, dataset.split.astype(bytes))
    architectures = settings.grid()
    maps = {
        where: content_digest(dataset.maps(*where))
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
    return {
        key: content_digest(
            json.dumps(
                [*common, maps[key.input, shape.head_pooling], key.path, shape.values()],
                sort_keys=True,
            )
        )
        for key, shape in architectures.items()
    }


def to_piece(trained: TrainedCnn) -> Piece:
    """Return a trained CNN as a piece."""
    arrays = {
        f"{_PARAMETER}{name}": value.detach().cpu().numpy()
        for name, value in trained.parameters.items()
    }
    arrays |= {name: getattr(trained, name) for name in _OUTPUTS}
    return Piece(arrays, {"history": trained.history})


def from_piece(piece: Piece) -> TrainedCnn:
    """Return the CNN that `to_piece` was given."""
    parameters = {
        name.removeprefix(_PARAMETER): torch.from_numpy(array)
        for name, array in piece.arrays.items()
        if name.startswith(_PARAMETER)
    }
    outputs = {name: piece.arrays[name] for name in _OUTPUTS}
    return TrainedCnn(parameters, piece.metadata["history"], **outputs)

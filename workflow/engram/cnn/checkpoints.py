"""All trained CNNs of a taxonomy in one file: `<input>/<labels>/<cnn>/<seed>/<parameter>`, with
what is needed to build them again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from engram.cnn.architecture import Architecture
from engram.cnn.key import CnnKey
from engram.cnn.network import AttentionCNN
from engram.io.errors import EngramError
from engram.io.schema import SCHEMA_VERSION
from engram.io.tensors import read_tensors, write_tensors


def save_cnns(
    path: Path,
    parameters: Mapping[CnnKey, Mapping[str, torch.Tensor]],
    architectures: Iterable[Architecture],
    classes: Sequence[str],
    layers: int,
    tokens: int,
) -> None:
    """Write the parameters of trained CNNs.

    Args:
        path: the safetensors file.
        parameters: state of each CNN.
        architectures: all that the keys name.
        classes: class names in the order of the logits.
        layers: L, channels of the inputs that are attention; `token_identity` has one.
        tokens: rows of the CNNs' maps.
    """
    tensors = {
        f"{key.path}/{name}": value.detach().cpu().numpy()
        for key, state in parameters.items()
        for name, value in state.items()
    }
    header = {
        "schema_version": SCHEMA_VERSION,
        "classes": list(classes),
        "layers": layers,
        "tokens": tokens,
        "architectures": {
            architecture.name: architecture.values() for architecture in architectures
        },
    }
    write_tensors(tensors, path, {"engram": json.dumps(header)})


def load_cnns(path: Path) -> dict[CnnKey, AttentionCNN]:
    """Return the CNNs of a file that `save_cnns` wrote, ready to predict (dropout off).

    Raises:
        EngramError: as `read_header`.
    """
    tensors, header = _read(path)
    states: dict[CnnKey, dict[str, torch.Tensor]] = {}
    for tensor, values in tensors.items():
        where, parameter = tensor.rsplit("/", 1)
        states.setdefault(CnnKey.of_path(where), {})[parameter] = torch.from_numpy(values)
    cnns = {}
    for key, state in states.items():
        architecture = Architecture(**header["architectures"][key.cnn])
        layers = 1 if key.input == "token_identity" else header["layers"]
        cnn = AttentionCNN.of(architecture, layers, len(header["classes"]), header["tokens"])
        cnn.load_state_dict(state)
        cnns[key] = cnn.eval()
    return cnns


def read_header(path: Path) -> dict:
    """Return what a file of CNNs says about them: classes, layers, tokens, architectures,
    schema_version.

    Raises:
        EngramError: no such file, another kind of file, a damaged one, or another schema version.
    """
    return _read(path)[1]


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    tensors, metadata = read_tensors(path)
    header = json.loads(metadata.get("engram", "{}"))
    if header.get("schema_version") != SCHEMA_VERSION:
        raise EngramError(
            f"{path}: schema version {header.get('schema_version')}, this Engram reads "
            f"{SCHEMA_VERSION}; delete the file and run again"
        )
    return tensors, header

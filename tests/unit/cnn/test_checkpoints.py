"""CNNs on disk: the same CNNs come back, and damage is named."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from engram.cnn.architecture import Architecture
from engram.cnn.checkpoints import load_cnns, save_cnns
from engram.cnn.key import CnnKey
from engram.cnn.network import AttentionCNN
from engram.io.errors import EngramError

SHAPES = [
    Architecture(3, 5, "max", 7, 0.25, "log"),
    Architecture(3, 4, "none", 7, 0.25, pooling_kernel=1),
]
KEYS = [
    CnnKey("attention", "real", SHAPES[0].name, 2),
    CnnKey("token_identity", "real", SHAPES[1].name, 0),
]


def saved(folder: Path) -> tuple[Path, list[AttentionCNN]]:
    cnns = [
        AttentionCNN.of(shape, layers, 3, 16) for shape, layers in zip(SHAPES, (2, 1), strict=True)
    ]
    path = folder / "checkpoints.safetensors"
    save_cnns(
        path,
        dict(zip(KEYS, (cnn.state_dict() for cnn in cnns), strict=True)),
        SHAPES,
        ["a", "b", "c"],
        2,
        16,
    )
    return path, cnns


def test_loaded_cnns_give_the_same_logits(tmp_path: Path) -> None:
    path, cnns = saved(tmp_path)
    loaded = load_cnns(path)
    assert set(loaded) == set(KEYS)
    for key, cnn in zip(KEYS, cnns, strict=True):
        maps = torch.rand(3, cnn.layers, 16, 16)
        torch.testing.assert_close(loaded[key](maps), cnn.eval()(maps), rtol=0, atol=0)


def test_tensors_are_named_by_input_labels_cnn_seed_and_parameter(tmp_path: Path) -> None:
    with safe_open(saved(tmp_path)[0], "pt") as file:
        assert {
            "attention/real/k3-f5-max/2/conv1.weight",
            "token_identity/real/k3-f4/0/fc2.bias",
        } <= set(file.keys())


@pytest.mark.parametrize("key", KEYS)
def test_path_of_a_key_leads_back(key: CnnKey) -> None:
    assert CnnKey.of_path(key.path) == key


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngramError, match=r"none\.safetensors: no such file"):
        load_cnns(tmp_path / "none.safetensors")


def test_damaged_file_is_an_error(tmp_path: Path) -> None:
    path, _ = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(EngramError, match="not a readable file of tensors"):
        load_cnns(path)


def test_foreign_file_is_an_error(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(EngramError, match="does not match its checksum"):
        load_cnns(tmp_path / "x.safetensors")

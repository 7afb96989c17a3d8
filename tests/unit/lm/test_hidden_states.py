"""Mean hidden states: what is stored, and that it is read back in order."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import ARCHITECTURES, LAYERS, WIDTH, gpt_neox, random_tokens

from engram.io import hdf5
from engram.io.errors import EngramError
from engram.lm.hidden_states import pooled_states
from engram.store.hidden_state_writer import write_hidden_states
from engram.store.hidden_states import Layers


@pytest.mark.parametrize("architecture", ["gpt_neox", "llama_grouped", "gpt2", "opt"])
def test_states_are_the_means_of_every_layers_output(architecture: str) -> None:
    model, tokens = ARCHITECTURES[architecture](), torch.from_numpy(random_tokens(3, 12))
    found = pooled_states(model, tokens)
    with torch.no_grad():
        expected = model(input_ids=tokens, output_hidden_states=True).hidden_states
    assert found.shape == (3, LAYERS + 1, WIDTH)
    torch.testing.assert_close(found, torch.stack([states.mean(1) for states in expected], 1))


def stored(folder: Path) -> tuple[Path, np.ndarray]:
    tokens = random_tokens(5, 12)
    sequences = pd.DataFrame({"sequence_id": [3, 5, 7, 11, 13], "tokens": list(tokens)})
    write_hidden_states(gpt_neox(), sequences, folder / "states.h5", batch_tokens=24)
    return folder / "states.h5", pooled_states(gpt_neox(), torch.from_numpy(tokens)).numpy()


def test_states_are_read_in_the_order_asked_for(tmp_path: Path) -> None:
    path, states = stored(tmp_path)
    layers = Layers(path, np.array([11, 3, 11]))
    assert list(layers) == [f"layer-{layer}" for layer in range(LAYERS + 1)]
    for number, name in enumerate(layers):
        np.testing.assert_allclose(layers[name], states[[3, 0, 3], number], rtol=2e-3, atol=1e-3)


def test_a_damaged_layer_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    path, _ = stored(tmp_path)
    ids = np.array([3, 5, 7, 11, 13])
    layers = Layers(path, ids)
    good = {name: layers[name] for name in layers}
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(good["layer-1"].astype(np.float16).tobytes())] ^= 1
    path.write_bytes(damaged)
    layers = Layers(path, ids)
    np.testing.assert_array_equal(layers["layer-0"], good["layer-0"])
    with pytest.raises(EngramError, match="layer-1: its content does not match its checksum"):
        layers["layer-1"]


def test_missing_sequence_is_named(tmp_path: Path) -> None:
    path, _ = stored(tmp_path)
    with pytest.raises(EngramError, match="sequence_id 4 is not in it"):
        Layers(path, np.array([3, 4]))


def test_another_schema_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "SCHEMA_VERSION", 99)
    path, _ = stored(tmp_path)
    monkeypatch.undo()
    with pytest.raises(EngramError, match="schema version 99"):
        Layers(path, np.array([3]))


def test_states_beyond_float16_are_refused(tmp_path: Path) -> None:
    model = gpt_neox()
    with torch.no_grad():
        model.base_model.embed_in.weight[5] = 1e6
    sequences = pd.DataFrame({"sequence_id": [3, 5], "tokens": [np.full(12, 4), np.full(12, 5)]})
    with pytest.raises(EngramError, match="sequence_id 5 do not fit float16"):
        write_hidden_states(model, sequences, tmp_path / "states.h5", 1000)
    assert not list(tmp_path.iterdir())

"""Mean hidden states: what is stored, and that it is read back in order."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import ARCHITECTURES, LAYERS, WIDTH, gpt_neox, random_tokens

from engram.io.checksums import seal_file
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


def test_missing_sequence_is_named(tmp_path: Path) -> None:
    path, _ = stored(tmp_path)
    with pytest.raises(EngramError, match="sequence_id 4 is not in it"):
        Layers(path, np.array([3, 4]))


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    path, _ = stored(tmp_path)
    with h5py.File(path, "a") as file:
        file.attrs["schema_version"] = 99
    seal_file(path)
    with pytest.raises(EngramError, match="schema version 99"):
        Layers(path, np.array([3]))


def test_states_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    model = gpt_neox()
    with torch.no_grad():
        model.base_model.embed_in.weight[5] = float("nan")
    sequences = pd.DataFrame({"sequence_id": [3, 5], "tokens": [np.full(12, 4), np.full(12, 5)]})
    with pytest.raises(EngramError, match="sequence_id 5 do not fit float16"):
        write_hidden_states(model, sequences, tmp_path / "states.h5", 1000)
    assert not list(tmp_path.iterdir())

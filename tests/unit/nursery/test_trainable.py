"""Which weights a drilling changes, and that it resumes whichever they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_sources import tiny_model
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.inputs import begin_with
from engram.nursery.settings import DrillingTraining
from engram.nursery.trainable import recomputed_activations, without_dropout
from engram.nursery.training import Replicas, train

SETTINGS = DrillingTraining(
    batch_size=4, learning_rate=0.01, warmup_steps=1, checkpoint_steps=2, workers=2
)
ROWS = np.random.default_rng(0).integers(1, 400, (24, 12)).astype(np.uint16)
WAYS = ("all", "last:1", "lora:2")


def values(model: PreTrainedModel) -> dict[str, bytes]:
    return {name: value.detach().numpy().tobytes() for name, value in model.named_parameters()}


def changed(first: PreTrainedModel, second: PreTrainedModel) -> set[str]:
    one, two = values(first), values(second)
    assert one.keys() == two.keys()
    return {name for name in one if one[name] != two[name]}


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("way", WAYS)
def test_only_the_chosen_weights_change(architecture: str, way: str, tmp_path: Path) -> None:
    model = tiny_model(architecture)
    curve = train(model, ROWS, SETTINGS.replace(trainable=way), tmp_path, "tiny")
    names = changed(model, tiny_model(architecture))
    everything = set(values(model))
    layers = {name for name in everything if ".layers." in name or ".h." in name}
    last = {name for name in layers if ".1." in name}
    matrices = {name for name in layers if name.endswith("weight") and "norm" not in name}
    matrices = {name for name in matrices if ".ln_" not in name}
    assert names == {"all": everything, "last:1": last, "lora:2": matrices}[way]
    assert all(value.requires_grad for value in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert curve[-1]["tokens"] == ROWS.size


def test_updates_are_of_low_rank(tmp_path: Path) -> None:
    model, before = tiny_model("llama"), tiny_model("llama")
    train(model, ROWS, SETTINGS.replace(trainable="lora:3"), tmp_path, "tiny")
    pairs = zip(model.named_parameters(), before.parameters(), strict=True)
    ranks = {
        int(torch.linalg.matrix_rank((value - old).double(), rtol=1e-4))
        for (name, value), old in pairs
        if name.endswith("proj.weight")
    }
    assert ranks == {3}


@pytest.mark.parametrize("way", WAYS)
def test_a_kill_changes_nothing(way: str, tmp_path: Path) -> None:
    settings = SETTINGS.replace(trainable=way)
    undisturbed, killed = tiny_model("llama"), tiny_model("llama")
    train(undisturbed, ROWS, settings, tmp_path / "one", "tiny")
    steps: list[int] = []

    def stop(*_: object) -> None:
        steps.append(len(steps))
        if len(steps) == 4:  # after the state of step 2
            raise KeyboardInterrupt

    handle = register_optimizer_step_pre_hook(stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(killed, ROWS, settings, tmp_path / "two", "tiny")
    finally:
        handle.remove()
    again = tiny_model("llama")
    train(again, ROWS, settings, tmp_path / "two", "tiny")
    assert not changed(again, undisturbed)


def test_recomputed_activations_give_the_same_gradients(tmp_path: Path) -> None:
    one, two = tiny_model("llama"), tiny_model("llama")
    train(one, ROWS, SETTINGS, tmp_path / "one", "tiny")
    train(two, ROWS, SETTINGS.replace(gradient_checkpointing=True), tmp_path / "two", "tiny")
    assert not changed(one, two)
    calls = []
    layer = two.model.layers[0]
    layer.mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    with recomputed_activations(two, True), Replicas(two, 1, "float32") as replicas:
        replicas.gradients(torch.from_numpy(ROWS[:4].astype(np.int64)))
    assert len(calls) == 2 and "forward" not in vars(layer)


def test_dropout_is_off_and_the_configuration_keeps_it() -> None:
    model = tiny_model("gpt2")
    assert model.config.resid_pdrop > 0
    without_dropout(model)
    model.train()
    tokens = torch.from_numpy(ROWS[:4].astype(np.int64))
    assert torch.equal(model(tokens).logits, model(tokens).logits)
    assert model.config.resid_pdrop > 0


def test_rows_begin_with_the_opening() -> None:
    """The first token of a row is predicted from it, and every other one reads it."""
    model = tiny_model("llama")
    tokens = torch.from_numpy(ROWS[:4].astype(np.int64))
    begun = torch.nn.functional.pad(tokens, (1, 0), value=5)
    with torch.no_grad():
        expected = model(begun, labels=begun).loss.item()
    begin_with(model, (5,))
    with Replicas(model, 2, "float32") as replicas:
        assert replicas.gradients(tokens) == pytest.approx(expected, rel=1e-5)


def test_more_layers_than_there_are_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngramError, match="last:9, but the model has 2 layers"):
        train(tiny_model("llama"), ROWS, SETTINGS.replace(trainable="last:9"), tmp_path, "tiny")


@pytest.mark.parametrize("way", ["first:2", "last", "lora:0", "lora:x", "all:1"])
def test_another_choice_is_refused(way: str) -> None:
    with pytest.raises(EngramError, match="write all, last:<layers> or lora:<rank>"):
        DrillingTraining.parse({"trainable": way})

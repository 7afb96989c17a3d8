"""A grid of CNNs: what belongs to it, and how it goes on after a kill."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_grid import DATA, DIVERGING, KEY, QUICK, SETTINGS, same, train
from tiny_samples import tiny_dataset

from engram.cnn import grid
from engram.cnn.checkpoints import load_cnns
from engram.cnn.dataset import Dataset
from engram.cnn.grid import GridResult, train_grid
from engram.cnn.key import CnnKey
from engram.cnn.results import write_results
from engram.cnn.settings import CnnSettings
from engram.cnn.training import TrainedCnn, train_cnn
from engram.io.artifacts import read_parquet
from engram.io.errors import EngramError


def test_grid_is_every_architecture_seed_control_and_baseline() -> None:
    settings = CnnSettings(
        kernels=(3, 4), features=(5,), head_poolings=("mean", "max"), seeds=(0, 7)
    )
    names = [key.path for key in settings.grid()]
    assert len(names) == len(set(names)) == 2 * 2 * 2 * 2 + 2 * 2
    assert {
        "attention/real/k3-f5-mean/0",
        "attention/shuffled/k4-f5-max/7",
        "token_identity/real/k3-f5/7",
    } <= set(names)


def test_planted_signal_is_learned_from_attention_alone(result: GridResult) -> None:
    frame = pd.DataFrame(
        {"input": key.input, "labels": key.labels, "accuracy": row["accuracy"]}
        for key, cnn in result.trained.items()
        for row in cnn.history
        if row["split"] == "test"
    )
    accuracy = frame.groupby(["input", "labels"])["accuracy"].mean()
    assert accuracy["attention", "real"] > 0.95
    assert accuracy["attention", "shuffled"] < 0.6
    assert accuracy["token_identity", "real"] < 0.6


@pytest.mark.parametrize("threads", [1, 3])
def test_other_cnns_and_threads_change_nothing(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        grid = train_grid(
            DATA,
            SETTINGS.replace(features=(6, 4), head_poolings=("mean",), seeds=(0, 1), baselines=()),
            "best_epoch",
        )
        assert torch.get_num_threads() == threads
        torch.set_num_threads(
            1
        )  # as a CNN of a grid is trained; sums of several threads round otherwise
        alone = train()
    finally:
        torch.set_num_threads(before)
    assert same(grid.trained[KEY], alone)


def test_grid_that_diverges_altogether_is_an_error() -> None:
    with pytest.raises(
        EngramError, match=r"all 2 CNNs on attention diverged .* cnn.learning_rate 1e\+30"
    ):
        train_grid(
            DATA,
            DIVERGING.model_copy(update={"controls": (), "baselines": ()}),
            "best_epoch",
        )


def test_data_are_checked_first() -> None:
    with pytest.raises(EngramError, match="is not finite"):
        train_grid(replace(DATA, mean=DATA.mean * np.nan), SETTINGS, "best_epoch")


def test_unknown_selection_is_an_error() -> None:
    with pytest.raises(EngramError, match="selection 'last'"):
        train_grid(DATA, SETTINGS, "last")


def counted(monkeypatch: pytest.MonkeyPatch, fail_at: int | None = None) -> list[CnnKey]:
    """Keeps the keys that are trained; the `fail_at`-th training is killed."""
    trained: list[CnnKey] = []
    real: Callable[..., TrainedCnn] = train_cnn

    def spy(data: Any, key: CnnKey, *rest: Any) -> TrainedCnn:
        trained.append(key)
        if len(trained) == fail_at:
            raise KeyboardInterrupt
        return real(data, key, *rest)

    monkeypatch.setattr(grid, "train_cnn", spy)
    return trained


def test_killed_grid_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        counted(patch, fail_at=3)
        train_grid(DATA, QUICK, "best_epoch", tmp_path)
    done = len(list(tmp_path.glob("*.safetensors")))
    again = counted(monkeypatch)
    resumed = train_grid(DATA, QUICK, "best_epoch", tmp_path)
    assert (done, len(again)) == (2, 1)
    whole = train_grid(DATA, QUICK, "best_epoch")
    assert all(same(resumed.trained[key], whole.trained[key]) for key in QUICK.grid())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 0),
        ({"seeds": (0, 1)}, 3),
        ({"learning_rate": 1e-3}, 3),
        ({"hidden": 8}, 3),
        ({"baselines": ()}, 0),
    ],
)
def test_finished_cnns_serve_the_same_settings_alone(
    change: dict[str, Any], expected: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    train_grid(DATA, QUICK, "best_epoch", tmp_path)
    trained = counted(monkeypatch)
    train_grid(DATA, QUICK.replace(**change), "best_epoch", tmp_path)
    assert len(trained) == expected


@pytest.mark.parametrize(
    ("field", "expected"), [("mean", 2), ("tokens", 1), ("max", 0), ("label", 3), ("split", 3)]
)
def test_finished_cnns_serve_the_same_data_alone(
    field: str, expected: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    train_grid(DATA, QUICK, "best_epoch", tmp_path)
    trained = counted(monkeypatch)
    train_grid(
        replace(DATA, **{field: getattr(DATA, field)[::-1].copy()}), QUICK, "best_epoch", tmp_path
    )
    assert len(trained) == expected


def test_damaged_part_is_trained_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    train_grid(DATA, QUICK, "best_epoch", tmp_path)
    part = next(tmp_path.glob("*.safetensors"))
    part.write_bytes(part.read_bytes()[:50])
    trained = counted(monkeypatch)
    train_grid(DATA, QUICK, "best_epoch", tmp_path)
    assert len(trained) == 1


def with_probes(rows: int = 120) -> Dataset:
    data = tiny_dataset(rows)
    random = np.random.default_rng(1)
    noise, told = (
        random.normal(size=(rows, 4)),
        np.eye(3)[data.label] + random.normal(0, 0.1, (rows, 3)),
    )
    features = {
        "scalar_features": {"logistic": noise},
        "hidden_states": {"layer-0": noise, "layer-1": told},
    }
    return replace(
        data,
        random_mean=data.mean[:, :, ::-1].copy(),
        random_max=data.max[:, :, ::-1].copy(),
        features=features,
    )


BASELINES = QUICK.replace(
    baselines=("token_identity", "random_weights", "scalar_features", "hidden_states"),
    baseline_grid={"head_poolings": ["max"]},
)


def test_baselines_have_a_grid_of_their_own() -> None:
    names = {key.path for key in BASELINES.grid()}
    assert {
        "attention/real/k3-f6-mean/0",
        "random_weights/real/k3-f6-max/0",
        "token_identity/real/k3-f6/0",
    } <= names
    assert "random_weights/real/k3-f6-mean/0" not in names


@pytest.mark.parametrize(
    ("selection", "splits"),
    [("best_epoch", {"train", "validation", "test"}), ("all_epochs", {"test"})],
)
def test_every_baseline_is_predicted_and_the_best_layer_alone(
    selection: str, splits: set[str], tmp_path: Path
) -> None:
    result = train_grid(with_probes(), BASELINES, selection)
    write_results(
        result,
        *(
            tmp_path / name
            for name in ("checkpoints.safetensors", "history.csv", "predictions.parquet")
        ),
        "A, B",
    )
    frame = read_parquet(tmp_path / "predictions.parquet")
    for baseline in BASELINES.baselines:
        assert set(frame.loc[frame["input"] == baseline, "split"]) == splits, baseline
    assert set(frame.loc[frame["input"] == "hidden_states", "cnn"]) == {"layer-1"}
    history = (
        pd.read_csv(tmp_path / "history.csv")
        .query("input == 'hidden_states' and split == 'train'")
        .set_index("cnn")
    )
    assert history["selected"].to_dict() == {"layer-0": False, "layer-1": True}
    assert history.loc["layer-1", "accuracy"] > 0.95
    loaded = load_cnns(tmp_path / "checkpoints.safetensors")
    assert {key.input for key in loaded} == {"attention", "token_identity", "random_weights"}

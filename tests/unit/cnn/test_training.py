"""Training of the grid: what it learns, that it repeats, what it reports, and how it goes on after
a kill.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from tiny_samples import tiny_dataset
from torch.nn import functional

from engram.cnn import grid, training
from engram.cnn.checkpoints import load_cnns
from engram.cnn.dataset import Dataset
from engram.cnn.grid import GridResult, train_grid
from engram.cnn.key import CnnKey
from engram.cnn.network import AttentionCNN, square_maps
from engram.cnn.results import write_results
from engram.cnn.settings import CnnSettings
from engram.cnn.training import TrainedCnn, learned_labels, predict, train_cnn
from engram.io.artifacts import read_metadata, read_parquet
from engram.io.errors import EngramError
from engram.io.schema import SCHEMA_VERSION
from engram.scores.probability_metrics import log_loss
from engram.scores.score_table import score_table

SETTINGS = CnnSettings(
    kernels=(3,), features=(6,), hidden=16, dropout=0.2, epochs=4, batch_size=8, learning_rate=3e-3
)
KEY = CnnKey("attention", "real", "k3-f6-mean", 0)
SHAPE = SETTINGS.grid()[KEY]
DIVERGING = SETTINGS.model_copy(update={"learning_rate": 1e30})
"""A rate that no config may ask for."""
DATA = tiny_dataset()


def train(
    selection: str = "best_epoch", settings: CnnSettings = SETTINGS, **changes: Any
) -> TrainedCnn:
    settings = settings.replace(**changes) if changes else settings
    return train_cnn(DATA, KEY, settings.grid()[KEY], settings, selection)


@pytest.fixture(scope="module")
def result() -> GridResult:
    return train_grid(DATA, SETTINGS.replace(epochs=12), "best_epoch")


@pytest.fixture
def written(result: GridResult, tmp_path: Path) -> Path:
    write_results(
        result,
        *(
            tmp_path / name
            for name in ("checkpoints.safetensors", "history.csv", "predictions.parquet")
        ),
        "A, B",
    )
    return tmp_path


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


def test_training_is_that_of_a_plain_loop() -> None:
    """Two epochs without dropout, in PyTorch's own layout and functions."""
    trained = train("all_epochs", epochs=2, dropout=0.0)
    seed = int.from_bytes(hashlib.blake2b(KEY.path.encode(), digest_size=8).digest()) >> 1
    cnn = AttentionCNN.of(replace(SHAPE, dropout=0.0), 2, 3, 16)
    cnn.initialize(seed)
    weights = {
        name: value.detach().clone().contiguous().requires_grad_()
        for name, value in cnn.named_parameters()
    }
    optimizer = torch.optim.AdamW(weights.values(), lr=3e-3, weight_decay=0.1)
    random, rows = np.random.default_rng([KEY.seed, 0]), DATA.rows("train")
    maps, label = (
        square_maps(torch.from_numpy(DATA.mean)).contiguous(),
        torch.from_numpy(DATA.label),
    )
    for _ in range(2):
        order = random.permutation(rows)
        for start in range(0, len(order), 8):
            batch = order[start : start + 8]
            loss = functional.cross_entropy(
                torch.func.functional_call(cnn, weights, maps[batch]), label[batch]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for name, value in weights.items():
        torch.testing.assert_close(trained.parameters[name], value.detach(), rtol=1e-3, atol=1e-4)


def same(left: TrainedCnn, right: TrainedCnn) -> bool:
    return left.history == right.history and np.array_equal(left.logits, right.logits)


def test_same_seed_gives_the_same_predictions() -> None:
    assert same(train(), train())


def test_another_seed_gives_others() -> None:
    other = train_cnn(DATA, replace(KEY, seed=1), SHAPE, SETTINGS, "best_epoch")
    assert not same(train(), other)


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


def test_loss_is_the_mean_over_samples_in_nats(result: GridResult) -> None:
    for cnn in (cnn for key, cnn in result.trained.items() if key.labels == "real"):
        for row in (row for row in cnn.history if row["selected"] and row["split"] != "train"):
            mine = DATA.split[cnn.row] == row["split"]
            assert row["loss"] == pytest.approx(
                log_loss(cnn.logits[mine], DATA.label[cnn.row[mine]]), rel=1e-6
            )


@pytest.mark.parametrize("batch_size", [5, 72])
def test_untrained_loss_is_that_of_a_guess_at_any_batch_size(batch_size: int) -> None:
    for row in train(learning_rate=1e-9, epochs=1, batch_size=batch_size).history:
        assert row["loss"] == pytest.approx(np.log(3), abs=0.05), row["split"]


def test_best_epoch_has_the_lowest_validation_loss(result: GridResult) -> None:
    for key, cnn in result.trained.items():
        losses = {row["epoch"]: row["loss"] for row in cnn.history if row["split"] == "validation"}
        assert {row["epoch"] for row in cnn.history if row["selected"]} == {
            min(losses, key=losses.get)
        }, key  # type: ignore[arg-type]
        assert set(cnn.epoch) == {min(losses, key=losses.get)}  # type: ignore[arg-type]


def test_best_epoch_predicts_every_sample_once_and_tests_once() -> None:
    trained = train()
    np.testing.assert_array_equal(np.sort(trained.row), np.arange(len(DATA)))
    assert sum(row["split"] == "test" for row in trained.history) == 1


def test_best_epoch_is_an_epoch_of_the_same_training() -> None:
    """Stopping at the chosen epoch gives the same CNN."""
    trained = train(epochs=6)
    shorter = train(epochs=int(trained.epoch[0]))
    np.testing.assert_array_equal(trained.logits, shorter.logits)


def test_all_epochs_predict_the_test_split_after_each() -> None:
    trained, test = train("all_epochs", epochs=3), DATA.rows("test")
    np.testing.assert_array_equal(trained.row, np.tile(test, 3))
    np.testing.assert_array_equal(trained.epoch, np.repeat([1, 2, 3], len(test)))
    assert all(row["selected"] for row in trained.history)


def test_all_epochs_keep_the_last_checkpoint() -> None:
    trained, test = train("all_epochs", epochs=3), DATA.rows("test")
    cnn = AttentionCNN.of(SHAPE, 2, 3, 16)
    cnn.load_state_dict(trained.parameters)
    np.testing.assert_array_equal(predict(cnn, DATA.mean, test), trained.logits[-len(test) :])


def test_shuffled_labels_are_permuted_within_train_and_validation() -> None:
    learned = learned_labels(DATA, "shuffled", np.random.default_rng(0))
    for split in ("train", "validation"):
        rows = DATA.rows(split)
        assert (learned[rows] != DATA.label[rows]).mean() > 0.4
        np.testing.assert_array_equal(np.sort(learned[rows]), np.sort(DATA.label[rows]))
    np.testing.assert_array_equal(learned[DATA.rows("test")], DATA.label[DATA.rows("test")])


def test_bfloat16_is_close_to_float32() -> None:
    exact, rounded = train(epochs=1), train(epochs=1, precision="bfloat16")
    difference = np.abs(exact.logits - rounded.logits).max()
    assert 0 < difference < 0.1


def test_diverging_cnn_is_marked_and_reports_nothing() -> None:
    trained = train(settings=DIVERGING)
    assert trained.diverged
    assert np.isnan(trained.history[-1]["loss"])
    assert not any(row["selected"] for row in trained.history)
    assert len(trained.row) == len(trained.logits) == 0


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


def test_checkpoints_give_the_predictions_on_disk(written: Path) -> None:
    predictions = read_parquet(written / "predictions.parquet")
    for key, cnn in load_cnns(written / "checkpoints.safetensors").items():
        mine = predictions[(predictions[list(vars(key))] == pd.Series(vars(key))).all(axis=1)]
        maps = DATA.maps(key.input, key.cnn.rsplit("-", 1)[1])
        rows = mine["sequence_id"].to_numpy() - 1000
        np.testing.assert_allclose(
            np.stack(mine["logits"].tolist()), predict(cnn, maps, rows), rtol=0, atol=1e-6
        )


def test_predictions_have_the_columns_that_others_read(written: Path) -> None:
    frame = read_parquet(written / "predictions.parquet")
    columns = [
        "sequence_id",
        "content_group",
        "split",
        "class",
        "input",
        "labels",
        "cnn",
        "seed",
        "epoch",
        "logits",
    ]
    assert list(frame.columns) == columns
    assert read_metadata(written / "predictions.parquet") == {
        "schema_version": SCHEMA_VERSION,
        "classes": ["Class 0", "Class 1", "Class 2"],
        "taxonomy": "A, B",
        "selection": "best_epoch",
        "diverged": [],
    }
    assert frame["logits"].iloc[0].dtype == np.float32


def test_predictions_name_the_true_class_under_shuffled_labels_too(written: Path) -> None:
    frame = read_parquet(written / "predictions.parquet").query("labels == 'shuffled'")
    expected = np.array(DATA.classes)[DATA.label[frame["sequence_id"] - 1000]]
    np.testing.assert_array_equal(frame["class"].to_numpy().astype(str), expected)


def test_history_has_the_columns_that_others_read(written: Path) -> None:
    history = pd.read_csv(written / "history.csv")
    assert list(history.columns) == [
        "input",
        "labels",
        "cnn",
        "seed",
        "epoch",
        "split",
        "loss",
        "accuracy",
        "selected",
    ]
    assert history["selected"].dtype == bool


def test_header_of_the_checkpoints_says_how_to_build_them(written: Path) -> None:
    with safe_open(written / "checkpoints.safetensors", "pt") as file:
        header = json.loads(file.metadata()["engram"])
    assert (header["layers"], header["tokens"], header["classes"]) == (
        2,
        16,
        ["Class 0", "Class 1", "Class 2"],
    )
    assert set(header["architectures"]) == {"k3-f6-mean", "k3-f6-max", "k3-f6"}


def test_results_can_be_scored(written: Path) -> None:
    path = written / "predictions.parquet"
    table = score_table(
        read_parquet(path), read_metadata(path)["classes"], resamples=100
    ).set_index(["input", "labels"])
    assert table.loc[("attention", "real"), "min_f1"] > 0.9
    assert table.loc[("attention", "shuffled"), "balanced_accuracy_low"] < 1 / 3


def test_diverged_cnn_is_in_the_history_alone(result: GridResult, tmp_path: Path) -> None:
    trained = {**result.trained, KEY: train(settings=DIVERGING)}
    paths = [
        tmp_path / name
        for name in ("checkpoints.safetensors", "history.csv", "predictions.parquet")
    ]
    write_results(replace(result, trained=trained), *paths, "A, B")
    assert KEY not in load_cnns(paths[0])
    assert (
        pd.read_csv(paths[1]).query("cnn == 'k3-f6-mean' and labels == 'real'")["loss"].isna().any()
    )
    assert not len(read_parquet(paths[2]).query("cnn == 'k3-f6-mean' and labels == 'real'"))


def test_diverged_cnns_are_counted_in_the_scores(result: GridResult, tmp_path: Path) -> None:
    """One of two CNNs on attention, and all of the control: neither may look as if nothing had
    happened.
    """
    lost = train(settings=DIVERGING)
    shuffled = [key for key in result.trained if key.labels == "shuffled"]
    paths = [
        tmp_path / name
        for name in ("checkpoints.safetensors", "history.csv", "predictions.parquet")
    ]
    write_results(
        replace(result, trained=result.trained | dict.fromkeys([KEY, *shuffled], lost)),
        *paths,
        "A, B",
    )
    keys = [CnnKey.of_path(key) for key in read_metadata(paths[2])["diverged"]]
    diverged = [(key.input, key.labels) for key in keys]
    table = score_table(read_parquet(paths[2]), DATA.classes, diverged, resamples=100).set_index(
        ["input", "labels"]
    )
    assert table[["cnns", "diverged"]].T.to_dict("list") == {
        ("attention", "real"): [1, 1],
        ("token_identity", "real"): [1, 0],
        ("attention", "shuffled"): [0, 2],
    }
    assert np.isnan(table.loc[("attention", "shuffled"), "min_f1"])


def test_cnn_whose_logits_overflow_is_marked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finite loss during selection says nothing about the samples predicted afterwards."""
    real, test = training.predict, DATA.rows("test")

    def overflowing(cnn: Any, maps: Any, rows: np.ndarray, precision: str) -> np.ndarray:
        return real(cnn, maps, rows, precision) * (np.inf if np.array_equal(rows, test) else 1)

    monkeypatch.setattr(training, "predict", overflowing)
    assert train().diverged


QUICK = SETTINGS.replace(epochs=1, head_poolings=("mean",))


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


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(EngramError, match=r"cnn\.device: cuda, but this machine has no GPU"):
        train_grid(DATA, QUICK.replace(device="cuda"), "best_epoch")


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="needs a machine without MPS")
def test_an_apple_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(EngramError, match=r"^cnn\.device: mps, but torch finds no Apple GPU"):
        train_grid(DATA, QUICK.replace(device="mps"), "best_epoch")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_learns_the_planted_signal_and_repeats_it() -> None:
    settings = SETTINGS.replace(epochs=12, device="cuda")
    one, other = (train_cnn(DATA, KEY, SHAPE, settings, "best_epoch") for _ in range(2))
    assert one.history[-1]["accuracy"] > 0.9
    np.testing.assert_allclose(one.logits, other.logits, atol=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_recorded_step_trains_like_one_that_is_launched(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS.replace(epochs=3, device="cuda", precision=precision)
    recorded = train_cnn(DATA, KEY, SHAPE, settings, "all_epochs")
    monkeypatch.setattr("engram.cnn.epoch._WARM", 10**9)
    launched = train_cnn(DATA, KEY, SHAPE, settings, "all_epochs")
    np.testing.assert_allclose(
        recorded.logits, launched.logits, atol=1e-3 if precision == "float32" else 0.05
    )
    losses = [[row["loss"] for row in trained.history] for trained in (recorded, launched)]
    np.testing.assert_allclose(*losses, rtol=1e-3 if precision == "float32" else 0.02)

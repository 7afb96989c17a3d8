"""Training of a CNN: what it learns, that it repeats, which epoch it keeps, and on which device."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_grid import DATA, DIVERGING, KEY, QUICK, SETTINGS, SHAPE, same, train
from torch.nn import functional

from engram.cnn import training
from engram.cnn.grid import GridResult, train_grid
from engram.cnn.network import AttentionCNN, square_maps
from engram.cnn.training import learned_labels, predict, train_cnn
from engram.io.errors import EngramError
from engram.scores.probability_metrics import log_loss


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


def test_same_seed_gives_the_same_predictions() -> None:
    assert same(train(), train())


def test_another_seed_gives_others() -> None:
    other = train_cnn(DATA, replace(KEY, seed=1), SHAPE, SETTINGS, "best_epoch")
    assert not same(train(), other)


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


def test_cnn_whose_logits_overflow_is_marked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finite loss during selection says nothing about the samples predicted afterwards."""
    real, test = training.predict, DATA.rows("test")

    def overflowing(cnn: Any, maps: Any, rows: np.ndarray, precision: str) -> np.ndarray:
        return real(cnn, maps, rows, precision) * (np.inf if np.array_equal(rows, test) else 1)

    monkeypatch.setattr(training, "predict", overflowing)
    assert train().diverged


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

"""Replicas that share a batch: the gradient of the whole batch, and the same bytes twice."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_nursery import tiny_model
from tiny_training import ROWS, SETTINGS, Calls, Stop, equal, parameters, rows

from engram.nursery.training import Replicas, train


def gradients(workers: int, batch: np.ndarray) -> tuple[float, dict[str, np.ndarray]]:
    """Loss and gradients of an untrained model."""
    model = tiny_model()
    with Replicas(model, workers, "float32") as replicas:
        loss = replicas.gradients(torch.from_numpy(batch.astype(np.int64)))
    return loss, {
        name: parameter.grad.numpy()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


@pytest.mark.parametrize("workers", [1, 2, 3, 5, 8])
def test_the_replicas_gradient_is_that_of_the_whole_batch(workers: int) -> None:
    """Five rows: parts of unequal size, and more replicas than rows."""
    batch = ROWS[:5]
    model, tokens = tiny_model(), torch.from_numpy(batch.astype(np.int64))
    expected = model(tokens, labels=tokens).loss
    expected.backward()
    loss, found = gradients(workers, batch)
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    for name, parameter in model.named_parameters():
        scale = parameter.grad.abs().max().item()
        np.testing.assert_allclose(found[name], parameter.grad, rtol=1e-5, atol=1e-6 * scale)
        assert found[name].flags.c_contiguous


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_replicas_give_the_same_bytes_whoever_is_done_first(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, found = gradients(workers, ROWS[:7])
    compute, delays = torch.autograd.grad, iter([0.1, 0.05, 0.0])

    def late(*arguments, **options):
        time.sleep(next(delays, 0.0))
        return compute(*arguments, **options)

    monkeypatch.setattr(torch.autograd, "grad", late)
    again, delayed = gradients(workers, ROWS[:7])
    assert loss == again
    assert equal(found, delayed)


@pytest.mark.parametrize("workers", [2, 3])
def test_replicas_train_the_same_bytes_twice_and_after_a_kill(tmp_path: Path, workers: int) -> None:
    settings = SETTINGS.replace(batch_size=4, workers=workers)
    data, trained = rows(n=24), []
    for name, stop_at in (("first", None), ("second", None), ("killed", 5 * workers)):
        model = tiny_model()
        if stop_at:
            Calls(model, stop_at=stop_at)
            with pytest.raises(Stop):
                train(model, data, settings, tmp_path / name, "tiny")
            model = tiny_model()
            calls = Calls(model)
        curve = train(model, data, settings, tmp_path / name, "tiny")
        trained.append((parameters(model), curve))
    assert len(calls.batches) == 2 * workers  # steps 5 and 6
    assert equal(trained[0][0], trained[1][0])
    assert equal(trained[0][0], trained[2][0])
    assert trained[0][1] == trained[1][1] == trained[2][1]


def test_another_number_of_replicas_trains_the_same_within_rounding(tmp_path: Path) -> None:
    found = []
    for workers in (1, 2):
        model = tiny_model()
        settings = SETTINGS.replace(batch_size=4, workers=workers)
        train(model, rows(n=24), settings, tmp_path / str(workers), "tiny")
        found.append(parameters(model))
    for name in found[0]:
        np.testing.assert_allclose(found[0][name], found[1][name], atol=1e-3, err_msg=name)


def test_replicas_leave_the_number_of_threads_as_it_was() -> None:
    model = tiny_model()
    torch.set_num_threads(2)
    try:
        with Replicas(model, 2, "float32"):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)

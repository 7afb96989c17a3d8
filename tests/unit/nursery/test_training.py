"""Training of the nursery's models: rows in order, losses, rates and AdamW."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_nursery import tiny_model
from tiny_training import BATCH, LENGTH, ROWS, SETTINGS, STEPS, Calls, Undisturbed, parameters, rows
from torch.optim.optimizer import register_optimizer_step_pre_hook

from engram.io.errors import EngramError
from engram.nursery.training import resolve_precision, train


def test_loss_falls_on_repetitive_text(tmp_path: Path) -> None:
    curve = train(
        tiny_model(),
        rows(n=40 * 16),
        SETTINGS.replace(batch_size=16, learning_rate=0.03),
        tmp_path,
        "tiny",
    )
    assert curve[0]["loss"] > 3.5
    assert curve[-1]["loss"] < 2.5


def test_every_row_is_seen_once_in_order_and_the_rest_is_dropped(tmp_path: Path) -> None:
    model = tiny_model()
    calls = Calls(model)
    train(model, ROWS, SETTINGS, tmp_path, "tiny")
    np.testing.assert_array_equal(np.concatenate(calls.batches), ROWS[: STEPS * BATCH])


def test_the_first_loss_is_the_cross_entropy_of_the_untrained_model(tmp_path: Path) -> None:
    curve = train(tiny_model(), ROWS, SETTINGS.replace(log_steps=1), tmp_path, "tiny")
    tokens = torch.from_numpy(ROWS[:BATCH].astype(np.int64))
    with torch.no_grad():
        expected = tiny_model()(tokens, labels=tokens).loss.item()
    assert curve[0]["loss"] == pytest.approx(expected, rel=1e-5)


def test_logged_losses_are_means_since_the_last_entry(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    each = [
        entry["loss"]
        for entry in train(tiny_model(), ROWS, SETTINGS.replace(log_steps=1), tmp_path, "tiny")
    ]
    expected = [np.mean(each[start : start + 3]) for start in range(0, STEPS, 3)]
    assert [entry["loss"] for entry in undisturbed.curve] == pytest.approx(expected, rel=1e-12)


def test_the_curve_counts_steps_and_tokens(undisturbed: Undisturbed) -> None:
    steps = [3, 6, 9, 11]
    assert [(entry["step"], entry["tokens"]) for entry in undisturbed.curve] == [
        (step, step * BATCH * LENGTH) for step in steps
    ]
    assert [entry["learning_rate"] for entry in undisturbed.curve] == [
        SETTINGS.rate(step - 1, STEPS) for step in steps
    ]


def test_the_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    rates = [SETTINGS.rate(step, 1000) for step in range(1000)]
    assert rates[:5] == pytest.approx([0.002, 0.004, 0.006, 0.008, 0.01])
    assert rates[5] == max(rates) == SETTINGS.learning_rate
    assert all(after < before for before, after in pairwise(rates[5:]))
    assert rates[-1] < 1e-7
    assert SETTINGS.rate(5 + 995 // 2, 1000) == pytest.approx(0.005, rel=0.01)


@pytest.mark.parametrize("warmup", [0, 11, 100])
def test_any_warm_up_gives_rates(warmup: int) -> None:
    settings = SETTINGS.replace(warmup_steps=warmup)
    assert all(0 < settings.rate(step, STEPS) <= settings.learning_rate for step in range(STEPS))


def test_the_optimizer_follows_the_rates(tmp_path: Path) -> None:
    used = []
    hook = register_optimizer_step_pre_hook(
        lambda optimizer, *_: used.append(optimizer.param_groups[0]["lr"])
    )
    train(tiny_model(), ROWS, SETTINGS, tmp_path, "tiny")
    hook.remove()
    assert used == [SETTINGS.rate(step, STEPS) for step in range(STEPS)]


def test_rows_that_fill_no_batch_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngramError, match="tiny: 1 training rows do not fill a batch of 2"):
        train(tiny_model(), ROWS[:1], SETTINGS, tmp_path, "tiny")


def test_mixed_precision_keeps_parameters_in_float32(tmp_path: Path) -> None:
    model = tiny_model()
    curve = train(model, ROWS[:4], SETTINGS.replace(precision="bfloat16"), tmp_path, "tiny")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert math.isfinite(curve[-1]["loss"])


def test_auto_is_one_of_two_precisions() -> None:
    assert resolve_precision("auto") in ("bfloat16", "float32")
    assert [resolve_precision(precision) for precision in ("bfloat16", "float32")] == [
        "bfloat16",
        "float32",
    ]


def test_training_follows_adamw_with_clipping(tmp_path: Path) -> None:
    """The optimizer that is not fused, written out."""
    model, reference = tiny_model(), tiny_model()
    train(model, ROWS[:8], SETTINGS.replace(workers=2), tmp_path, "tiny")
    optimizer = torch.optim.AdamW(
        reference.parameters(), lr=1, betas=(0.9, 0.95), weight_decay=0.1, foreach=False
    )
    reference.train()
    for step in range(4):
        tokens = torch.from_numpy(ROWS[2 * step : 2 * step + 2].astype(np.int64))
        optimizer.param_groups[0]["lr"] = SETTINGS.rate(step, 4)
        reference(tokens, labels=tokens).loss.backward()
        torch.nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    expected, found = parameters(reference), parameters(model)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=2e-4, err_msg=name)


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    with pytest.raises(EngramError, match="drilling: the loss at step 1 is nan"):
        train(model, ROWS, SETTINGS, tmp_path / "state", "drilling")

"""Training of the nursery's models: the same bytes for the same seed, also after a kill."""

import csv
import logging
import math
import shutil
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_nursery import tiny_model
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPTNeoXForCausalLM,
    PreTrainedTokenizerFast,
)

from engram.io.errors import EngramError
from engram.nursery.settings import TrainingSettings
from engram.nursery.training import (
    Replicas,
    resolve_precision,
    save_trained,
    train,
    write_curve,
)

STEPS, BATCH, LENGTH = 11, 2, 16
SETTINGS = TrainingSettings(
    batch_size=BATCH,
    learning_rate=0.01,
    warmup_steps=5,
    weight_decay=0.1,
    precision="float32",
    checkpoint_steps=4,
    log_steps=3,
    workers=1,
)


def rows(seed: int = 0, n: int = STEPS * BATCH + 1) -> np.ndarray:
    """Repetitive rows, (n, LENGTH): chunks of one or two tokens."""
    random = np.random.default_rng(seed)
    return np.stack(
        [np.resize(random.integers(1, 64, random.integers(1, 3)), LENGTH) for _ in range(n)]
    ).astype(np.uint16)


ROWS = rows()


class Stop(BaseException):
    """A kill: nothing in the training catches it."""


class Calls:
    """Records what a model is called with; raises at a given call."""

    def __init__(self, model: GPTNeoXForCausalLM, stop_at: int | None = None) -> None:
        self.batches: list[np.ndarray] = []
        self.stop_at = stop_at
        model.register_forward_pre_hook(self.record)

    def record(self, _: torch.nn.Module, arguments: tuple[torch.Tensor]) -> None:
        if len(self.batches) == self.stop_at:
            raise Stop
        self.batches.append(arguments[0].numpy().copy())


def parameters(model: GPTNeoXForCausalLM) -> dict[str, np.ndarray]:
    return {name: parameter.detach().numpy().copy() for name, parameter in model.named_parameters()}


def equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(
        first[name].tobytes() == second[name].tobytes() for name in first
    )


@dataclass(frozen=True)
class Undisturbed:
    """A training that nothing stopped."""

    parameters: dict[str, np.ndarray]
    curve: list[dict]
    state: Path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    model, state = tiny_model(), tmp_path_factory.mktemp("state")
    curve = train(model, ROWS, SETTINGS, state, "tiny")
    return Undisturbed(parameters(model), curve, state)


@pytest.fixture
def state(undisturbed: Undisturbed, tmp_path: Path) -> Path:
    """A copy of the state that the undisturbed training left behind."""
    return shutil.copytree(undisturbed.state, tmp_path / "state")


# --- the training
# --------------------------------------------------------------------------------------------------


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


# --- replicas
# --------------------------------------------------------------------------------------------------


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


# --- kill and resume
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("killed_after", [0, 2, 3, 4, 5, 8, 10])
def test_a_killed_training_ends_as_an_undisturbed_one(
    undisturbed: Undisturbed, tmp_path: Path, killed_after: int
) -> None:
    """Steps 4 and 8 are kept, steps 3, 6 and 9 are entries of the curve."""
    model = tiny_model()
    Calls(model, stop_at=killed_after)
    with pytest.raises(Stop):
        train(model, ROWS, SETTINGS, tmp_path, "tiny")
    model = tiny_model()
    calls = Calls(model)
    curve = train(model, ROWS, SETTINGS, tmp_path, "tiny")
    assert len(calls.batches) == STEPS - killed_after // 4 * 4
    assert equal(parameters(model), undisturbed.parameters)
    assert curve == undisturbed.curve


def test_a_training_may_be_killed_again_and_again(undisturbed: Undisturbed, tmp_path: Path) -> None:
    for _ in range(2):
        model = tiny_model()
        Calls(model, stop_at=5)
        with pytest.raises(Stop):
            train(model, ROWS, SETTINGS, tmp_path, "tiny")
    model = tiny_model()
    curve = train(model, ROWS, SETTINGS, tmp_path, "tiny")
    assert equal(parameters(model), undisturbed.parameters)
    assert curve == undisturbed.curve


def test_a_finished_training_is_not_repeated(undisturbed: Undisturbed, state: Path) -> None:
    model = tiny_model()
    calls = Calls(model)
    assert train(model, ROWS, SETTINGS, state, "tiny") == undisturbed.curve
    assert calls.batches == []
    assert equal(parameters(model), undisturbed.parameters)


OTHERS: dict[str, tuple[int, np.ndarray, TrainingSettings]] = {
    "rows": (0, rows(seed=1), SETTINGS),
    "order of rows": (0, ROWS[::-1], SETTINGS),
    "rows of the same bytes": (0, ROWS.reshape(16, 23), SETTINGS),
    "settings": (0, ROWS, SETTINGS.replace(learning_rate=0.02)),
    "replicas": (0, ROWS, SETTINGS.replace(workers=2)),
    "initial model": (1, ROWS, SETTINGS),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_state_of_another_run_is_not_resumed(state: Path, other: str) -> None:
    seed, data, settings = OTHERS[other]
    model = tiny_model(seed)
    calls = Calls(model)
    curve = train(model, data, settings, state, "tiny")
    assert len(calls.batches) == len(data) // BATCH * settings.workers
    assert curve[0]["step"] == 3


@pytest.mark.parametrize(
    "content",
    [b"", b"not a state", "truncated", "flipped"],
    ids=["empty", "foreign", "truncated", "flipped"],
)
def test_a_broken_state_is_reported_and_not_resumed(
    undisturbed: Undisturbed, state: Path, caplog: pytest.LogCaptureFixture, content: bytes | str
) -> None:
    (file,) = state.iterdir()
    flipped = bytearray(file.read_bytes())
    flipped[-100] ^= 1
    file.write_bytes(
        {"truncated": file.read_bytes()[:-100], "flipped": bytes(flipped)}.get(content, content)
    )
    model = tiny_model()
    with caplog.at_level(logging.WARNING):
        train(model, ROWS, SETTINGS, state, "tiny")
    assert "passed over, computed again" in caplog.text
    assert equal(parameters(model), undisturbed.parameters)


def test_a_kill_while_the_state_is_written_keeps_the_last_one(
    undisturbed: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, write = [], Path.write_bytes

    def half(path: Path, content: bytes) -> None:
        written.append(path)
        write(path, content[: len(content) // len(written)])
        if len(written) == 2:  # the state after step 8
            raise Stop

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(Path, "write_bytes", half)
        train(tiny_model(), ROWS, SETTINGS, tmp_path, "tiny")
    model = tiny_model()
    calls = Calls(model)
    train(model, ROWS, SETTINGS, tmp_path, "tiny")
    assert len(calls.batches) == STEPS - 4
    assert equal(parameters(model), undisturbed.parameters)


# --- results
# --------------------------------------------------------------------------------------------------

FILES = {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"}


def test_one_seed_gives_the_same_bytes(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    for name in ("first", "second"):
        model = tiny_model()
        train(model, ROWS[:8], SETTINGS, tmp_path / f"state-{name}", "tiny")
        save_trained(model, tokenizer, tmp_path / name)
    assert {file.name for file in (tmp_path / "first").iterdir()} == FILES
    for file in FILES:
        assert (tmp_path / "first" / file).read_bytes() == (
            tmp_path / "second" / file
        ).read_bytes(), file


def test_a_saved_model_is_loaded_as_it_was(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = tiny_model()
    save_trained(model, tokenizer, tmp_path)
    assert equal(parameters(AutoModelForCausalLM.from_pretrained(tmp_path)), parameters(model))
    assert (
        AutoTokenizer.from_pretrained(tmp_path)("the owl 42")["input_ids"]
        == tokenizer("the owl 42")["input_ids"]
    )


def test_a_model_does_not_tell_where_it_came_from(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    """A drilled model is loaded from the base's folder, whose place must not change its bytes."""
    for place in ("here", "there"):
        save_trained(tiny_model(), tokenizer, tmp_path / place)
        save_trained(
            AutoModelForCausalLM.from_pretrained(tmp_path / place),
            tokenizer,
            tmp_path / f"from-{place}",
        )
    for file in FILES:
        assert (tmp_path / "from-here" / file).read_bytes() == (
            tmp_path / "from-there" / file
        ).read_bytes(), file


def test_saving_again_replaces(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    save_trained(tiny_model(seed=1), tokenizer, tmp_path)
    save_trained(tiny_model(seed=0), tokenizer, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == FILES
    assert equal(
        parameters(AutoModelForCausalLM.from_pretrained(tmp_path)), parameters(tiny_model(seed=0))
    )


def test_files_are_readable_by_all(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    save_trained(tiny_model(), tokenizer, tmp_path)
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o644}


def test_the_curve_is_written_as_a_table(tmp_path: Path, undisturbed: Undisturbed) -> None:
    write_curve(undisturbed.curve, tmp_path / "training.csv")
    with (tmp_path / "training.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [
        {key: float(value) for key, value in entry.items()} for entry in read
    ] == undisturbed.curve


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    with pytest.raises(EngramError, match="drilling: the loss at step 1 is nan"):
        train(model, ROWS, SETTINGS, tmp_path / "state", "drilling")

"""Killed trainings: they end as an undisturbed one, and no other state is resumed."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_nursery import tiny_model
from tiny_training import (
    BATCH,
    ROWS,
    SETTINGS,
    STEPS,
    Calls,
    Stop,
    Undisturbed,
    equal,
    parameters,
    rows,
)

from engram.io.errors import EngramError
from engram.nursery.settings import TrainingSettings
from engram.nursery.training import train


@pytest.fixture
def state(undisturbed: Undisturbed, tmp_path: Path) -> Path:
    """A copy of the state that the undisturbed training left behind."""
    return shutil.copytree(undisturbed.state, tmp_path / "state")


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


@pytest.mark.parametrize("stops", [(4, 5, 10), (5, 11), (8, 4)])
def test_checkpoints_are_on_the_way_to_the_end(
    undisturbed: Undisturbed, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    """Weights at a step are those of the whole training, and it goes on from them."""
    done = 0
    for stop in stops:
        model, killed = tiny_model(), tiny_model()
        calls = Calls(model)
        curve = train(model, ROWS, SETTINGS, tmp_path / "state", "tiny", stop=stop)
        first = done if done <= stop else 0  # a state beyond the step is of no use
        assert len(calls.batches) == stop - first
        done = stop
        Calls(killed, stop_at=stop)
        if stop < STEPS:
            with pytest.raises(Stop):
                train(killed, ROWS, SETTINGS, tmp_path / str(stop), "tiny")
        assert stop == STEPS or equal(parameters(model), parameters(killed))
        assert curve[-1]["step"] == stop
        assert curve[:-1] == [entry for entry in undisturbed.curve if entry["step"] < stop]
        again = tiny_model()
        assert train(again, ROWS, SETTINGS, tmp_path / "state", "tiny", stop=stop) == curve
    model = tiny_model()
    assert train(model, ROWS, SETTINGS, tmp_path / "state", "tiny") == undisturbed.curve
    assert equal(parameters(model), undisturbed.parameters)


def test_a_step_beyond_the_training_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngramError, match=r"models\[\].step: 12; the training has 11 steps"):
        train(tiny_model(), ROWS, SETTINGS, tmp_path, "tiny", stop=12)


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

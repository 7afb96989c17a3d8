"""Trackers get every curve and score of a study, offline, and are asked for only when named."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engram.io.errors import EngramError
from engram.run import tracking
from engram.run.tracking import TRACKERS, TrackedRun, require, track, tracked_run

RUN = {"model": "nursery", "protocol": "engram", "taxonomy": "non-memo_guess_others"}
NAME = "nursery/engram/non-memo_guess_others"
LOSS = "attention/real/k6-f4-mean/seed-0/{}/loss"
SCORE = "scores/attention/real/min_f1"


def history() -> pd.DataFrame:
    rows = [
        ("attention", "real", "k6-f4-mean", 0, epoch, split, 1.0 / epoch, 0.25 * epoch, epoch == 2)
        for epoch in (1, 2)
        for split in ("train", "validation")
    ]
    rows.append(("attention", "shuffled", "k6-f4-mean", 0, 1, "train", np.nan, np.nan, False))
    columns = ["input", "labels", "cnn", "seed", "epoch", "split", "loss", "accuracy", "selected"]
    return pd.DataFrame(rows, columns=columns)


def scores() -> pd.DataFrame:
    names = {"taxonomy": "Non-Memo, Guess, Others", "input": "attention", "labels": "real"}
    own = {"model": "nursery", "protocol": "engram", "slug": RUN["taxonomy"]} | names
    return pd.DataFrame(
        [
            own | {"min_f1": 0.6, "min_f1_low": np.nan, "n": 12},
            own | {"slug": "another", "min_f1": 0.1, "min_f1_low": 0.0, "n": 12},
            own | {"model": "other", "min_f1": 0.2, "min_f1_low": 0.0, "n": 12},
        ]
    )


def run() -> TrackedRun:
    return tracked_run(RUN, history(), scores(), {"epochs": 2})


class Calls:
    """Notes every call of a package that is not installed here."""

    def __init__(self) -> None:
        self.made: list[tuple[Any, ...]] = []

    def note(self, name: str, result: Any = None) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            self.made.append((name, *arguments, *sorted(named.items())))
            return result

        return call


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Stand-ins for the three packages."""
    calls = Calls()
    note = calls.note
    started = SimpleNamespace(
        log=note("log"), summary=SimpleNamespace(update=note("summary")), finish=note("finish")
    )
    client = SimpleNamespace(
        create_experiment=note("experiment", "7"),
        create_run=note("run", SimpleNamespace(info=SimpleNamespace(run_id="r"))),
        log_param=note("param"),
        log_batch=note("batch"),
        set_terminated=note("terminated"),
    )
    writer = SimpleNamespace(add_scalar=note("scalar"), add_text=note("text"), close=note("close"))
    modules = {
        "wandb": {"init": note("init", started)},
        "mlflow": {},
        "mlflow.entities": {"Metric": lambda name, value, _time, step: (name, value, step)},
        "mlflow.tracking": {"MlflowClient": note("client", client)},
        "torch.utils.tensorboard": {"SummaryWriter": note("writer", writer)},
    }
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(tracking, "find_spec", lambda name: name)
    for variable in ("WANDB_ERROR_REPORTING", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.setenv(variable, "")
    return calls


def test_a_run_has_all_that_is_finite_of_its_own_taxonomy() -> None:
    logged = run()
    assert logged.name == NAME
    assert logged.parameters == RUN | {"epochs": 2}
    assert list(logged.curves) == [1, 2]
    assert logged.curves[2][LOSS.format("validation")] == 0.5
    assert logged.curves[1]["attention/real/k6-f4-mean/seed-0/train/accuracy"] == 0.25
    assert len(logged.curves[1]) == 4 and not any("shuffled" in name for name in logged.curves[1])
    assert logged.scores == {SCORE: 0.6, "scores/attention/real/n": 12}


def test_wandb_is_told_curves_by_epoch_and_scores_offline(calls: Calls, tmp_path: Path) -> None:
    track("wandb", [run()], "demo", tmp_path / "wandb")
    started = dict(calls.made[0][1:])
    assert (started["mode"], started["project"]) == ("offline", "engram-demo")
    assert (started["name"], started["dir"]) == (NAME, str(tmp_path / "wandb"))
    logged = [call for call in calls.made if call[0] == "log"]
    assert [call[2] for call in logged] == [("step", 1), ("step", 2)]
    assert logged[1][1][LOSS.format("train")] == 0.5
    assert calls.made[-2] == ("summary", run().scores)
    assert calls.made[-1] == ("finish",)


def test_mlflow_is_told_every_metric_in_a_local_database(
    calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "MLFLOW_BATCH", 4)
    track("mlflow", [run()], "demo", tmp_path / "mlflow")
    uri = f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}"
    assert calls.made[0] == ("client", ("tracking_uri", uri))
    batches = [call[2][1] for call in calls.made if call[0] == "batch"]
    assert [len(metrics) for metrics in batches] == [4, 4, 2]  # 8 of the curves, 2 scores
    assert (LOSS.format("train"), 0.5, 2) in batches[1]
    assert (SCORE, 0.6, 2) in batches[2]
    assert ("param", "r", "epochs", 2) in calls.made
    assert calls.made[-1] == ("terminated", "r")


def test_tensorboard_is_told_every_scalar(calls: Calls, tmp_path: Path) -> None:
    track("tensorboard", [run()], "demo", tmp_path / "board")
    assert calls.made[0] == ("writer", tmp_path / "board" / NAME)
    assert ("scalar", LOSS.format("validation"), 1.0, 1) in calls.made
    assert ("scalar", SCORE, 0.6, 2) in calls.made
    assert calls.made[-1] == ("close",)


def test_what_a_tracker_logged_before_is_replaced(calls: Calls, tmp_path: Path) -> None:
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "old").touch()
    track("wandb", [run()], "demo", tmp_path / "wandb")
    assert not (tmp_path / "wandb" / "old").exists()


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_package_that_is_missing_is_named(
    tracker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(EngramError, match=f"tracking: {tracker} needs the package {tracker}, .*"):
        track(tracker, [run()], "demo", tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
    require("none")

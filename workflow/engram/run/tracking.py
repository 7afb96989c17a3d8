"""Training curves and scores of a study for an experiment tracker: Weights & Biases, MLflow or
TensorBoard, offline.

A run of the tracker is one taxonomy of a model and protocol. What is logged comes from the study's
own files, so that a tracker can be chosen, or changed, after everything has run.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engram.io.errors import EngramError

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("model", "protocol", "taxonomy", "slug", "input", "labels", "held_out")
"""Columns of `scores.csv` that are no scores."""
MLFLOW_BATCH = 1000
"""Most metrics that MLflow takes at a time."""


@dataclass(frozen=True)
class TrackedRun:
    """What is logged of one taxonomy of a model and protocol."""

    name: str
    """`<model>/<protocol>/<taxonomy's slug>`."""
    parameters: Mapping[str, Any]
    """What it was trained with."""
    curves: Mapping[int, Mapping[str, float]]
    """Epoch → `<input>/<labels>/<cnn>/seed-<seed>/<split>/loss` and `…/accuracy`."""
    scores: Mapping[str, float]
    """`scores/<input>/<labels>/<score>` on the test split."""


def require(tracker: str) -> None:
    """Check that a tracker's package is installed.

    Raises:
        EngramError: it is not.
    """
    if tracker != "none" and find_spec(tracker) is None:
        raise EngramError(
            f"tracking: {tracker} needs the package {tracker}, which is not installed here; "
            f"install it (pip install {tracker}) or set `tracking: none`"
        )


def tracked_run(
    run: Mapping[str, str],
    history: pd.DataFrame,
    scores: pd.DataFrame,
    parameters: Mapping[str, Any],
) -> TrackedRun:
    """Return what is logged of one taxonomy. Values that are not finite, or missing, are left out.

    Args:
        run: model, protocol, taxonomy (slug).
        history: its `history.csv`.
        scores: `tables/scores.csv`.
        parameters: of the training.
    """
    curves: dict[int, dict[str, float]] = {}
    for row in history.to_dict("records"):
        where = f"{row['input']}/{row['labels']}/{row['cnn']}/seed-{row['seed']}/{row['split']}"
        values = {f"{where}/{name}": float(row[name]) for name in ("loss", "accuracy")}
        curves.setdefault(int(row["epoch"]), {}).update(_finite(values))
    own = scores[
        (scores["model"] == run["model"])
        & (scores["protocol"] == run["protocol"])
        & (scores["slug"] == run["taxonomy"])
    ]
    final: dict[str, float] = {}
    for row in own.to_dict("records"):
        where = f"scores/{row['input']}/{row['labels']}"
        final |= _finite(
            {f"{where}/{name}": float(row[name]) for name in own.columns if name not in NAMES}
        )
    name = "/".join(run[key] for key in ("model", "protocol", "taxonomy"))
    return TrackedRun(name, {**run, **parameters}, dict(sorted(curves.items())), final)


def track(tracker: str, runs: Sequence[TrackedRun], study: str, folder: Path) -> None:
    """Log runs with a tracker, into an empty folder and nowhere else.

    Args:
        tracker: `wandb`, `mlflow` or `tensorboard`.
        runs: of the study.
        study: its name; the project or experiment.
        folder: where the tracker keeps its files; what it held is deleted.

    Raises:
        EngramError: the tracker's package is not installed.
    """
    require(tracker)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    TRACKERS[tracker](runs, study, folder.resolve())


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _wandb(runs: Sequence[TrackedRun], study: str, folder: Path) -> None:
    os.environ["WANDB_ERROR_REPORTING"] = "false"
    import wandb

    for run in runs:
        started = wandb.init(
            project=f"engram-{study}",
            name=run.name,
            config=dict(run.parameters),
            dir=str(folder),
            mode="offline",
        )
        for epoch, metrics in run.curves.items():
            started.log(dict(metrics), step=epoch)
        started.summary.update(dict(run.scores))
        started.finish()


def _mlflow(runs: Sequence[TrackedRun], study: str, folder: Path) -> None:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.create_experiment(study, (folder / "artifacts").as_uri())
    for run in runs:
        identifier = client.create_run(experiment, run_name=run.name).info.run_id
        for name, value in run.parameters.items():
            client.log_param(identifier, name, value)
        now = int(1000 * time.time())
        every = [(epoch, *metric) for epoch, own in run.curves.items() for metric in own.items()]
        every += [(max(run.curves, default=0), *metric) for metric in run.scores.items()]
        metrics = [Metric(name, value, now, epoch) for epoch, name, value in every]
        for start in range(0, len(metrics), MLFLOW_BATCH):
            client.log_batch(identifier, metrics=metrics[start : start + MLFLOW_BATCH])
        client.set_terminated(identifier)


def _tensorboard(runs: Sequence[TrackedRun], _study: str, folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    for run in runs:
        writer = SummaryWriter(folder / run.name)
        for epoch, metrics in run.curves.items():
            for name, value in metrics.items():
                writer.add_scalar(name, value, epoch)
        for name, value in run.scores.items():
            writer.add_scalar(name, value, max(run.curves, default=0))
        writer.add_text("parameters", "\n".join(f"- {k}: {v}" for k, v in run.parameters.items()))
        writer.close()


TRACKERS: Mapping[str, Callable[[Sequence[TrackedRun], str, Path], None]] = {
    "wandb": _wandb,
    "mlflow": _mlflow,
    "tensorboard": _tensorboard,
}
"""How each tracker logs runs of a study into a folder."""

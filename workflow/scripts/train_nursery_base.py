"""Trains a new nursery base and chooses its windows."""

from pathlib import Path

from engram.nursery.base import BaseSettings, train_base
from engram.nursery.training import TrainingSettings
from engram.nursery.windows import WindowSettings
from engram.run.job import job

with job(snakemake):
    params = snakemake.params
    base = dict(params.base)
    training = TrainingSettings(**base.pop("training"))
    windows = WindowSettings(
        prefix=params.prefix, suffix=params.suffix, seed=params.seed, **base.pop("windows")
    )
    replay_rows = base.pop("replay_rows")
    settings = BaseSettings(seed=params.seed, **base)
    train_base(
        settings,
        training,
        windows,
        replay_rows,
        Path(snakemake.output.model).parent,
        Path(params.state),
    )

"""Train a new nursery base and choose its windows."""

from pathlib import Path

from engram.nursery.base import BaseSettings, train_base
from engram.nursery.training import TrainingSettings
from engram.nursery.windows import WindowSettings
from engram.run.job import PARTS, job

with job(snakemake) as settings:
    base = dict(settings.base)
    training = TrainingSettings(**base.pop("training"))
    window = {"prefix": settings.prefix, "suffix": settings.suffix, "seed": settings.seed}
    windows, replay_rows = WindowSettings(**window, **base.pop("windows")), base.pop("replay_rows")
    output, state = Path(snakemake.output.model).parent, PARTS / "nursery_base"
    train_base(
        BaseSettings(seed=settings.seed, **base), training, windows, replay_rows, output, state
    )

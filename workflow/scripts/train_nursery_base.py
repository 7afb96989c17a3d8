"""Train a new nursery base and choose its windows."""

from pathlib import Path

from engram.nursery.base import train_base
from engram.nursery.settings import BaseSettings
from engram.run.job import PARTS, job

with job(snakemake) as settings:
    train_base(
        BaseSettings(**settings.base),
        (settings.prefix, settings.suffix),
        settings.seed,
        Path(snakemake.output.model).parent,
        PARTS / "nursery_base",
    )

"""Train a new nursery base and choose its windows."""

from pathlib import Path

from engram.nursery.base import train_base
from engram.nursery.settings import BaseSettings
from engram.run.job import job

with job(snakemake):
    params = snakemake.params
    train_base(
        BaseSettings(**params.base),
        (params.prefix, params.suffix),
        params.seed,
        Path(snakemake.output.model).parent,
        Path(params.state),
    )

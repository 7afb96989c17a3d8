"""Make the folder of a model trained elsewhere: configuration, tokenizer, links to weights."""

from pathlib import Path

from engram.run.job import job
from engram.sources.snapshots import fetch_model

with job(snakemake) as settings:
    fetch_model(settings.model, settings.revision or None, Path(snakemake.output.config).parent)

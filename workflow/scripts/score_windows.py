"""Measures on every window of a source without scores how much of it the model reproduces."""

from pathlib import Path

from engram.io.artifacts import read_metadata
from engram.lm.models import default_device, load_model
from engram.run.job import job
from engram.sources.scoring import write_scored

with job(snakemake):
    params = snakemake.params
    windows = Path(snakemake.input.windows)
    model = load_model(
        Path(snakemake.input.model).parent, dtype=params.dtype, device=default_device()
    )
    write_scored(
        windows,
        Path(snakemake.output.candidates),
        model,
        params.prefix,
        read_metadata(windows),
        params.batch_tokens,
    )

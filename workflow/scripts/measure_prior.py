"""Measure how likely the model finds every candidate's suffix after unrelated prefixes."""

from pathlib import Path

from engram.io.artifacts import read_metadata
from engram.lm.models import default_device, load_model
from engram.run.job import job
from engram.sources.prior import write_prior

with job(snakemake) as settings:
    candidates, folder = Path(snakemake.input.candidates), Path(snakemake.input.model).parent
    write_prior(
        candidates,
        Path(snakemake.output.prior),
        load_model(folder, dtype=settings.dtype, device=default_device()),
        settings.prefix,
        settings.prefixes,
        settings.seed,
        read_metadata(candidates),
        snakemake.resources.batch_tokens,
    )

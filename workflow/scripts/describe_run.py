"""Writes where the results come from."""

from engram.io.artifacts import read_metadata, write_json
from engram.run.job import job
from engram.run.provenance import describe_run

with job(snakemake):
    params = snakemake.params
    models = {
        name: read_metadata(path)
        for name, path in zip(params.models, snakemake.input.labels, strict=True)
    }
    write_json(describe_run(params.config, params.code, models), snakemake.output.run)

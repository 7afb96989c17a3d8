"""Gather the entropy of representations in the course of every drilling."""

from engram.io.artifacts import read_parquet, write_csv
from engram.mechanisms.entropy_steps import entropy_by_step
from engram.run.job import gather, job

with job(snakemake) as settings:
    tables = [
        entropy_by_step(read_parquet(path), settings.confidence) for path in snakemake.input.courses
    ]
    names = [{"model": name} for name in settings.models]
    write_csv(gather(names, tables), snakemake.output.table)

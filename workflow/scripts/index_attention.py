"""Writes where each sequence's attention lies, and what was verified while it was extracted."""

from pathlib import Path

from engram.artifacts import read_metadata, write_parquet
from engram.job import job
from engram.store import read_verification, write_index

with job(snakemake):
    shards = [Path(path) for path in snakemake.input.shards]
    write_index(shards, Path(snakemake.output.index))
    write_parquet(read_verification(shards), snakemake.output.verification, read_metadata(snakemake.output.index))

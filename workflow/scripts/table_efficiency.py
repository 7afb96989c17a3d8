"""Sums up, rule by rule, what the jobs asked for and what they used."""

from pathlib import Path

from engram.io.artifacts import write_csv
from engram.run.efficiency import efficiency, read_benchmarks
from engram.run.job import job

with job(snakemake):
    write_csv(
        efficiency(read_benchmarks(Path(snakemake.output.efficiency).parents[1])),
        snakemake.output.efficiency,
    )

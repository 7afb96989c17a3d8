"""Sum up, rule by rule, what the jobs asked for and what they used."""

from pathlib import Path

from engram.io.artifacts import write_csv
from engram.run.efficiency import efficiency, read_benchmarks
from engram.run.job import job

with job(snakemake):
    results = Path(snakemake.output.efficiency).parents[1]
    write_csv(efficiency(read_benchmarks(results)), snakemake.output.efficiency)

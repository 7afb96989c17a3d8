"""Gather how many candidates and samples every class has."""

from engram.io.artifacts import read_metadata, read_parquet, write_csv
from engram.run.job import gather, job
from engram.taxonomy.sampling import count_samples

with job(snakemake) as settings:
    tables = [
        count_samples(read_parquet(path), read_metadata(path)) for path in snakemake.input.samples
    ]
    runs = [{"model": run["model"], "protocol": run["protocol"]} for run in settings.runs]
    write_csv(gather(runs, tables), snakemake.output.counts)

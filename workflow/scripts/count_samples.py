"""Gather how many candidates and samples every class has."""

from engram.io.artifacts import read_metadata, read_parquet, write_csv
from engram.run.job import gather, job
from engram.taxonomy.sampling import count_samples, require_samples

with job(snakemake) as settings:
    tables = []
    for path in snakemake.input.samples:
        metadata = read_metadata(path)
        # A list that was drawn before `samples.minimum` was raised is not drawn again.
        require_samples(metadata["taxonomy"], metadata["candidates"], settings.minimum)
        tables.append(count_samples(read_parquet(path), metadata))
    runs = [{"model": run["model"], "protocol": run["protocol"]} for run in settings.runs]
    write_csv(gather(runs, tables), snakemake.output.counts)

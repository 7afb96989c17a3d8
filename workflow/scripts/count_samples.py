"""Gather how many candidates and samples every class has."""

from engram.io.artifacts import read_metadata, read_parquet, write_csv
from engram.run.job import gather, job
from engram.taxonomy.sampling import count_samples, require_samples

with job(snakemake) as settings:
    tables = []
    for path in snakemake.input.samples:
        metadata = read_metadata(path)
        # A list that was drawn before `samples.minimum` was raised is not drawn again.
        samples = read_parquet(path)
        # Of matched classes fewer are left than there are candidates.
        counts = metadata["candidates"]
        if "balance" in metadata:
            counts = samples["class"].value_counts().to_dict()
        if "held_out" not in metadata:  # there the minimum is shared by both sides
            require_samples(metadata["taxonomy"], counts, settings.minimum)
        tables.append(count_samples(samples, metadata))
    runs = [{"model": run["model"], "protocol": run["protocol"]} for run in settings.runs]
    write_csv(gather(runs, tables), snakemake.output.counts)

"""Write how often models, and their twins, complete pairs."""

from engram.auditing.pair_rates import pair_rates
from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import gather, job

with job(snakemake) as settings:
    names, tables = [], []
    for name, path in zip(settings.models, snakemake.input.answers, strict=True):
        for weights, own in read_parquet(path).groupby("weights", sort=False):
            names.append({"model": name, "weights": weights})
            tables.append(pair_rates(own, settings.bins, settings.confidence))
    write_csv(gather(names, tables), snakemake.output.table)

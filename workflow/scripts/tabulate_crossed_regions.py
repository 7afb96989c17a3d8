"""Gather where the crossed pairs' scorers see the exposure, and what its removal costs."""

import pandas as pd

from engram.crossed.tables import differences_of_pairs
from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import gather, job

with job(snakemake) as settings:
    files, output = snakemake.input, snakemake.output
    names = [{"pair": pair} for pair in settings.pairs]
    write_csv(gather(names, [pd.read_csv(path) for path in files.layers]), output.layers)
    knockouts = dict(zip(settings.pairs, map(read_parquet, files.knockout), strict=True))
    table = differences_of_pairs(knockouts, settings.bases, settings.confidence)
    write_csv(table, output.knockout)

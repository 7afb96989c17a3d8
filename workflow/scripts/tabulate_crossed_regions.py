"""Gather where the crossed pairs' scorers see the exposure, and what its removal costs."""

import pandas as pd

from engram.crossed.differences import difference_table
from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import gather, job

with job(snakemake) as settings:
    files, output = snakemake.input, snakemake.output
    names = [{"pair": pair} for pair in settings.pairs]
    write_csv(gather(names, [pd.read_csv(path) for path in files.layers]), output.layers)
    tables = [difference_table(read_parquet(path), settings.confidence) for path in files.knockout]
    write_csv(gather(names, tables), output.knockout)

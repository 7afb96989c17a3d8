"""Gather the searches of all models."""

import pandas as pd

from engram.io.artifacts import write_csv
from engram.run.job import job

with job(snakemake):
    tables = [pd.read_csv(path) for path in snakemake.input.searches]
    write_csv(pd.concat(tables, ignore_index=True), snakemake.output.search)

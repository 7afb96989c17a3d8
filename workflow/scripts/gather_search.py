"""Gathers the searches of all models."""

import pandas as pd

from engram.io.artifacts import write_csv
from engram.run.job import job

with job(snakemake):
    write_csv(
        pd.concat([pd.read_csv(path) for path in snakemake.input.searches], ignore_index=True),
        snakemake.output.search,
    )

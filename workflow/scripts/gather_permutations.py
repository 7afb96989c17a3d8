"""Gather what permuted labels score, of all models, protocols and taxonomies."""

import pandas as pd

from engram.io.artifacts import write_csv
from engram.run.job import gather, job

with job(snakemake) as settings:
    tables = [pd.read_csv(path) for path in snakemake.input.tables]
    write_csv(gather(settings.runs, tables), snakemake.output.permutations)

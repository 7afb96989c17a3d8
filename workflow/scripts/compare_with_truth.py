"""Tables the paper's rule against the truth that the twin gives."""

import pandas as pd

from engram.artifacts import read_parquet, write_csv
from engram.job import job
from engram.truth import truth_table

with job(snakemake):
    pairs = zip(snakemake.params.models, snakemake.input.labels, strict=True)
    write_csv(pd.concat([truth_table(read_parquet(path), model) for model, path in pairs]), snakemake.output.truth)

"""Counts pool members whose recorded score and our extraction disagree, by score."""

import pandas as pd

from engram.artifacts import read_parquet, write_csv
from engram.job import job
from engram.pool import agreement

with job(snakemake):
    triples = zip(snakemake.params.models, snakemake.input.verification, snakemake.input.labels, strict=True)
    tables = [
        agreement(read_parquet(verification), read_parquet(labels, ["sequence_id", "memorization_score"])).assign(model=model)
        for model, verification, labels in triples
    ]
    write_csv(pd.concat(tables, ignore_index=True), snakemake.output.verification)

"""Tabulate the paper's rule against the truth that the twin or the counterpart gives."""

import pandas as pd

from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import job
from engram.taxonomy.truth import truth_table

with job(snakemake) as settings:
    verification = dict(zip(settings.twinned, snakemake.input.verification, strict=True))
    tables = []
    for model, path in zip(settings.models, snakemake.input.labels, strict=True):
        labels = read_parquet(path)
        if model in verification:  # the twin was asked for the pool alone
            answers = read_parquet(verification[model], ["sequence_id", "twin_extracted"])
            labels = labels.merge(answers, on="sequence_id")
        elif model in settings.compared:
            labels = labels.assign(twin_extracted=labels["counterpart_extracted"])
        tables.append(truth_table(labels, model))
    write_csv(pd.concat(tables), snakemake.output.truth)

"""Count pool members whose recorded score and our extraction disagree, by score."""

import pandas as pd

from engram.io.artifacts import read_parquet, write_csv
from engram.io.streams import read_selected
from engram.run.job import job
from engram.taxonomy.pool import agreement, measured_scores

with job(snakemake) as settings:
    files, tables = snakemake.input, []
    for model, verified, labelled, continued, listed in zip(
        settings.models,
        files.verification,
        files.labels,
        files.continuations,
        files.candidates,
        strict=True,
    ):
        verification = read_parquet(verified)
        continuations = read_parquet(continued, ["sequence_id", "tokens"])
        columns = ["sequence_id", "memorization_score"]
        labels = read_selected(labelled, verification["sequence_id"].to_numpy(), columns)
        columns = ["sequence_id", "tokens"]
        candidates = read_selected(listed, continuations["sequence_id"].to_numpy(), columns)
        measured = measured_scores(continuations, candidates, settings.prefix)
        tables.append(agreement(verification, labels, measured).assign(model=model))
    write_csv(pd.concat(tables, ignore_index=True), snakemake.output.verification)

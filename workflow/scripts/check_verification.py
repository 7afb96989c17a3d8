"""Count pool members whose recorded score and our extraction disagree, by score."""

import pandas as pd

from engram.io.artifacts import read_parquet, write_csv
from engram.io.streams import read_selected
from engram.run.job import job
from engram.taxonomy.pool import agreement, measured_scores

with job(snakemake) as settings:
    files, tables = snakemake.input, []
    for model, *paths in zip(
        settings.models,
        files.verification,
        files.labels,
        files.continuations,
        files.candidates,
        strict=True,
    ):
        verification = read_parquet(paths[0])
        continuations = read_parquet(paths[2], ["sequence_id", "tokens"])
        columns = ["sequence_id", "memorization_score"]
        labels = read_selected(paths[1], verification["sequence_id"], columns)
        columns = ["sequence_id", "tokens"]
        candidates = read_selected(paths[3], continuations["sequence_id"], columns)
        measured = measured_scores(continuations, candidates, settings.prefix)
        tables.append(agreement(verification, labels, measured).assign(model=model))
    write_csv(pd.concat(tables, ignore_index=True), snakemake.output.verification)

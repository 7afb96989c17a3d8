"""Score classifiers on kinds of windows and on models that they were not trained on."""

from typing import Any

import pandas as pd

from engram.io.artifacts import read_metadata, read_parquet, write_csv
from engram.run.job import gather, job
from engram.scores.transfer_table import COLUMNS, transfer_scores
from engram.taxonomy.transfer import AT_HOME, ELSEWHERE

with job(snakemake) as settings:
    options, files = {**settings.statistics, "seed": settings.seed}, snakemake.input
    names, tables = [], []

    def tests(path: str) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Return the predictions of a file's test samples, and its metadata."""
        predictions = read_parquet(path)
        if "split" in predictions:
            predictions = predictions[predictions["split"] == "test"]
        return predictions, read_metadata(path)

    def add(
        row: dict[str, Any], elsewhere: pd.DataFrame, own: pd.DataFrame, classes: list[str]
    ) -> None:
        """Score one set of classifiers in one place."""
        tables.append(transfer_scores(elsewhere, own, classes, **options))
        names.append(row)

    for run, path, back, listed in zip(
        settings.kinds, files.predictions, files.reversed, files.samples, strict=True
    ):
        (predictions, metadata), (own, _) = tests(path), tests(back)
        samples, kinds = read_parquet(listed).set_index("sequence_id"), run["kinds"]
        row = {"model": run["model"], "taxonomy": metadata["taxonomy"], "transfer": kinds["name"]}
        row |= {"classes": ", ".join(kinds["classes"]), "trained_on": kinds["train"]}
        for column, tested in ((AT_HOME, "train"), (ELSEWHERE, "test")):
            inside = samples.index[samples[column]]
            here = predictions[predictions["sequence_id"].isin(inside)]
            rival = own if column == ELSEWHERE else own.head(0)
            add({**row, "tested_on": kinds[tested]}, here, rival, metadata["classes"])
    for run, path, trained in zip(settings.models, files.transferred, files.own, strict=True):
        (predictions, metadata), (own, _) = tests(path), tests(trained)
        for source, facts in metadata["sources"].items():
            row = {"model": run["model"], "taxonomy": metadata["taxonomy"], "transfer": "models"}
            row |= {"classes": "", "trained_on": source, "tested_on": run["model"]}
            row |= {"trained_layers": facts["layers"], "tested_layers": metadata["layers"]}
            row |= {"refused": facts["refused"]}
            here = predictions[predictions["trained_on"] == source]
            if facts["refused"]:
                tables.append(pd.DataFrame([{"n": 0}], columns=COLUMNS))
                names.append(row)
            else:
                add(row, here, own, metadata["classes"])
    table = gather(names, tables)
    known = dict.fromkeys(name for row in names for name in row)
    leading = [*known, *COLUMNS]
    write_csv(table[leading], snakemake.output.table)

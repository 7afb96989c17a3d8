"""Gathers how many test samples have their text in the training split too."""

from pathlib import Path

import pandas as pd

from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import job
from engram.taxonomy.sampling import leakage

with job(snakemake):
    labels = {
        Path(path).parts[-2]: read_parquet(path, ["sequence_id", "content_group"])
        for path in snakemake.input.labels
    }
    tables = []
    for path in snakemake.input.samples:
        model, protocol = Path(path).parts[
            -3:-1
        ]  # results/<study>/<model>/<protocol>/samples.parquet
        table = leakage(
            read_parquet(path, ["taxonomy", "sequence_id", "class", "split"]), labels[model]
        )
        table.insert(0, "protocol", protocol)
        table.insert(0, "model", model)
        tables.append(table)
    write_csv(pd.concat(tables, ignore_index=True), snakemake.output.leakage)

"""Scores the CNNs of every model, protocol and taxonomy, with intervals."""

from pathlib import Path

import pandas as pd
from tqdm import tqdm

from engram.cnn.key import CnnKey
from engram.io.artifacts import read_metadata, read_parquet, write_csv
from engram.run.job import job
from engram.scores.bootstrap import score_table

with job(snakemake):
    params = snakemake.params
    tables = []
    for path in tqdm(snakemake.input.predictions, desc="scores", unit="taxonomy"):
        metadata = read_metadata(path)
        # results/<study>/<model>/<protocol>/cnns/<taxonomy>/predictions.parquet
        model, protocol, _, slug = Path(path).parts[-5:-1]
        diverged = [(key.input, key.labels) for key in map(CnnKey.of_path, metadata["diverged"])]
        scores = score_table(
            read_parquet(path), metadata["classes"], diverged, seed=params.seed, **params.statistics
        )
        names = {
            "model": model,
            "protocol": protocol,
            "taxonomy": metadata["taxonomy"],
            "slug": slug,
        }
        for position, (column, value) in enumerate(names.items()):
            scores.insert(position, column, value)
        tables.append(scores)
    write_csv(pd.concat(tables, ignore_index=True), snakemake.output.scores)

"""Tables the recall of every class on natural text and on templates apart."""

from pathlib import Path

import pandas as pd

from engram.io.artifacts import read_metadata, read_parquet, write_csv
from engram.run.job import job
from engram.scores.confusions import recall_by_kind

with job(snakemake):
    params = snakemake.params
    labels = dict(zip(params.models, snakemake.input.labels, strict=True))
    tables = []
    for path in snakemake.input.predictions:
        # results/<study>/<model>/<protocol>/cnns/<taxonomy>/predictions.parquet
        model, protocol, *_ = Path(path).parts[-5:]
        metadata = read_metadata(path)
        kinds = read_parquet(labels[model], ["sequence_id", "kind"]).set_index("sequence_id")[
            "kind"
        ]
        recall = recall_by_kind(
            read_parquet(path), metadata["classes"], kinds, seed=params.seed, **params.statistics
        )
        tables.append(recall.assign(model=model, protocol=protocol, taxonomy=metadata["taxonomy"]))
    first = ["model", "protocol", "taxonomy"]
    table = pd.concat(tables, ignore_index=True)
    write_csv(
        table[first + [column for column in table if column not in first]], snakemake.output.recall
    )

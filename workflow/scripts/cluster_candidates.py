"""Find which candidates must stay in one split: documents, or clusters of near-duplicates."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from engram.io.artifacts import read_parquet, write_parquet
from engram.io.streams import read_batches, stacked_tokens
from engram.run.job import job
from engram.windows.clusters import known_documents, split_keys

with job(snakemake) as settings:
    path = snakemake.input.candidates
    known = {"document", "source", "kind"} & set(pq.read_schema(path).names)
    windows = read_parquet(path, ["sequence_id", *sorted(known)])
    parts = [stacked_tokens(table) for table in read_batches(path, ["tokens"])]
    keys = split_keys(
        windows["sequence_id"].to_numpy(),
        np.concatenate(parts),
        known_documents(windows),
        settings.prefix,
        settings.split_by == "cluster",
    )
    table = pd.DataFrame({"sequence_id": windows["sequence_id"], "cluster": keys})
    write_parquet(table, snakemake.output.clusters, {"split_by": settings.split_by})

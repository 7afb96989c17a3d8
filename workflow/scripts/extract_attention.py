"""Extracts the pooled attention of one shard's sequences; rows that any study has computed before
are not sent again.
"""

import logging
from functools import partial
from pathlib import Path

import pandas as pd

from engram.io.artifacts import read_parquet
from engram.io.streams import read_selected
from engram.lm.models import fingerprint, load_model
from engram.run.job import job
from engram.store.settings import ExtractionSettings
from engram.store.shards import ModelSource, build_shard, shard_of
from engram.taxonomy.pool import pool

with job(snakemake):
    params = snakemake.params
    samples = pd.concat(
        [read_parquet(path, ["sequence_id", "class"]) for path in snakemake.input.samples]
    )
    candidates = read_selected(
        snakemake.input.candidates, samples["sequence_id"].to_numpy(), ["sequence_id", "tokens"]
    )
    sequences = pool(samples, candidates, read_parquet(snakemake.input.continuations))
    mine = sequences[
        shard_of(sequences["sequence_id"], params.shards) == int(snakemake.wildcards.shard)
    ]

    folder = Path(snakemake.input.model).parent
    load = partial(load_model, folder, dtype=params.dtype)
    source = ModelSource(snakemake.wildcards.model, fingerprint(folder, None, params.dtype), load)
    settings = ExtractionSettings(
        prefix=params.prefix, mean_dtype=params.mean_dtype, batch_tokens=params.batch_tokens
    )
    report = build_shard(source, mine, Path(params.parts), Path(snakemake.output.shard), settings)
    logging.info("%d sequences, %d of them sent through the model", report.rows, report.forwards)

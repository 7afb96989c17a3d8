"""Extract the pooled attention of one shard's sequences, except rows that are finished already."""

import logging
from functools import partial
from pathlib import Path

from engram.lm.models import fingerprint, load_model
from engram.run.job import PARTS, job
from engram.store.settings import ExtractionSettings
from engram.store.shards import ModelSource, build_shard, shard_of
from engram.taxonomy.pool import read_pool

with job(snakemake) as settings:
    files, folder = snakemake.input, Path(snakemake.input.model).parent
    sequences = read_pool(files.samples, files.candidates, files.continuations or None)
    shard = shard_of(sequences["sequence_id"], settings.shards)
    chosen = sequences[shard == int(snakemake.wildcards.shard)]
    source = ModelSource(
        snakemake.wildcards.model,
        fingerprint(folder, None, settings.dtype),
        partial(load_model, folder, dtype=settings.dtype),
    )
    extraction = ExtractionSettings(
        prefix=settings.prefix,
        mean_dtype=settings.mean_dtype,
        block=settings.block,
        batch_tokens=snakemake.resources.batch_tokens,
        kernel=snakemake.resources.kernel,
    )
    report = build_shard(source, chosen, PARTS, Path(snakemake.output.shard), extraction)
    logging.info("%d sequences, %d of them sent through the model", report.rows, report.forwards)

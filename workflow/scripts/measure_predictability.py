"""Measure how predictable the suffix is that every sample shows, and how long."""

from pathlib import Path

import numpy as np

from engram.io.artifacts import write_parquet
from engram.lm.models import check_tokens, default_device, fingerprint, load_model, load_tokenizer
from engram.lm.predictability import suffix_predictability
from engram.lm.tokens import decode
from engram.run.job import job
from engram.taxonomy.pool import read_pool

with job(snakemake) as settings:
    files, folder = snakemake.input, Path(snakemake.input.model).parent
    sequences = read_pool(files.samples, files.candidates, files.continuations or None)
    tokens, prefix = np.stack(sequences["tokens"].tolist()), settings.prefix  # (n, T)
    model = load_model(folder, dtype=settings.dtype, device=default_device())
    check_tokens(model, tokens, files.candidates)
    table = suffix_predictability(model, tokens, prefix, snakemake.resources.batch_tokens)
    table.insert(0, "sequence_id", sequences["sequence_id"].to_numpy())
    table["characters"] = [len(text) for text in decode(load_tokenizer(folder), tokens[:, prefix:])]
    metadata = {"model_revision": fingerprint(folder, None, settings.dtype), "prefix": prefix}
    write_parquet(table, snakemake.output.predictability, metadata)

"""Measure how much of every window the drilled model, its twin, the base, and its counterpart
reproduce.
"""

from pathlib import Path

import numpy as np

from engram.io.artifacts import read_parquet, write_parquet
from engram.lm.generation import memorization_scores, teacher_forced_scores
from engram.lm.models import default_device, fingerprint, load_model, load_tokenizer
from engram.run.job import job

with job(snakemake) as settings:
    prefix, dtype = settings.prefix, settings.dtype
    candidates = read_parquet(snakemake.input.drilled)
    tokens = np.stack(candidates["tokens"].tolist()).astype(np.int64)  # (n, T)
    folder = Path(snakemake.input.model).parent
    tokenizer = load_tokenizer(folder)
    candidates["tokens"] = list(tokens.astype(np.int32))
    candidates["text"] = tokenizer.batch_decode(tokens.tolist())
    candidates["prompt"] = tokenizer.batch_decode(tokens[:, :prefix].tolist())
    model = load_model(folder, dtype=dtype, device=default_device())
    scores = memorization_scores(model, tokens, prefix)
    for column in scores.columns.difference(["sequence_id"]):
        candidates[column] = scores[column].to_numpy()
    if twin := snakemake.input.twin:
        model = load_model(Path(twin).parent, dtype=dtype, device=default_device())
        twin_scores = teacher_forced_scores(model, tokens, prefix)
        candidates["twin_extracted"] = twin_scores["extracted"].to_numpy()
    else:  # the base was asked before the drilling
        candidates["twin_extracted"] = candidates["base_extracted"]
    for other in snakemake.input.counterpart:
        model = load_model(Path(other).parent, dtype=dtype, device=default_device())
        answers = teacher_forced_scores(model, tokens, prefix)
        candidates["counterpart_extracted"] = answers["extracted"].to_numpy()
    revision = fingerprint(folder, None, dtype)
    metadata = {"model_revision": revision, "prefix": prefix, "source": settings.source}
    write_parquet(candidates, snakemake.output.candidates, metadata)

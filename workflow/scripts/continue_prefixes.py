"""Writes the model's own greedy continuation of every Non-Memo sample's prefix."""

from pathlib import Path

import numpy as np
import pandas as pd

from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.io.streams import read_selected
from engram.lm.generation import greedy_continuations
from engram.lm.models import default_device, fingerprint, load_model, load_tokenizer
from engram.run.job import job
from engram.sources.snapshots import ORIGIN, read_origin
from engram.taxonomy.pool import non_memorized

with job(snakemake):
    params = snakemake.params
    samples = pd.concat([read_parquet(path) for path in snakemake.input.samples])
    rows = read_selected(
        snakemake.input.candidates, non_memorized(samples), ["sequence_id", "tokens"]
    )
    tokens = np.array(rows["tokens"].tolist(), dtype=np.int64).reshape(
        len(rows), params.prefix + params.suffix
    )  # (n, T)
    prefixes = tokens[:, : params.prefix]
    folder = Path(snakemake.input.model).parent
    model = load_model(folder, dtype=params.dtype, device=default_device())
    suffixes = greedy_continuations(
        model,
        prefixes,
        params.suffix,
        params.batch_tokens,
        forbid_end_of_text=params.end_of_text == "forbidden",
    )
    continued = np.concatenate([prefixes, suffixes], axis=1).astype(np.int32)
    text = load_tokenizer(folder).batch_decode(continued.tolist())
    result = pd.DataFrame(
        {"sequence_id": rows["sequence_id"].to_numpy(), "tokens": list(continued), "text": text}
    )
    metadata = read_metadata(snakemake.input.candidates) | {
        "model_revision": fingerprint(folder, None, params.dtype),
        "end_of_text": params.end_of_text,
    }
    if (folder / ORIGIN).is_file():
        metadata |= {"commit": read_origin(folder)["commit"]}
    write_parquet(result, snakemake.output.continuations, metadata)

"""Asks the twin, which was not trained on the text, for the suffix of every sampled sequence."""

from pathlib import Path

import numpy as np
import pandas as pd

from engram.io.artifacts import read_parquet, write_parquet
from engram.io.streams import read_selected
from engram.lm.models import default_device, fingerprint, load_model, load_tokenizer
from engram.run.job import job
from engram.sources.scoring import twin_extracts
from engram.sources.snapshots import read_origin

with job(snakemake):
    params = snakemake.params
    sampled = pd.concat([read_parquet(path, ["sequence_id"]) for path in snakemake.input.samples])[
        "sequence_id"
    ].unique()
    rows = read_selected(snakemake.input.candidates, sampled, ["sequence_id", "tokens"])
    folder, twin = Path(snakemake.input.model).parent, Path(snakemake.input.twin).parent
    tokenizers = load_tokenizer(folder), load_tokenizer(twin)
    model = load_model(twin, dtype=params.dtype, device=default_device())
    extracted = twin_extracts(
        model, np.stack(rows["tokens"].tolist()), params.prefix, *tokenizers, params.batch_tokens
    )
    result = pd.DataFrame({"sequence_id": rows["sequence_id"], "twin_extracted": extracted})
    write_parquet(
        result,
        snakemake.output.twin,
        {"twin_revision": fingerprint(twin, None, params.dtype), "twin": read_origin(twin)},
    )

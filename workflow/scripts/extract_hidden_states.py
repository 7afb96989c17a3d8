"""Writes the hidden states of every sampled sequence, averaged over its tokens, for the linear
probes.
"""

from pathlib import Path

import pandas as pd

from engram.io.artifacts import read_parquet
from engram.io.streams import read_selected
from engram.lm.models import load_model
from engram.run.job import job
from engram.store.hidden_state_writer import write_hidden_states
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
    model = load_model(Path(snakemake.input.model).parent, dtype=params.dtype)
    write_hidden_states(model, sequences, Path(snakemake.output.states), params.batch_tokens)

"""Drill the base on held-out windows, each shown a scheduled number of times."""

from pathlib import Path

import numpy as np

from engram.io.artifacts import read_parquet, whole, write_parquet
from engram.io.hashing import value_digest
from engram.lm.models import default_device, load_model, load_tokenizer
from engram.nursery.drilling import (
    choose_candidates,
    drilling_rows,
    schedule_exposures,
    window_tokens,
)
from engram.nursery.settings import DrillingSettings
from engram.nursery.training import save_trained, train, write_curve
from engram.run.job import PARTS, job
from engram.windows.duplicates import suffix_occurrences

with job(snakemake) as settings:
    base, drilling = Path(snakemake.input.base).parent, DrillingSettings(**settings.drilling)
    windows = read_parquet(snakemake.input.windows)
    tokens = window_tokens(windows, settings.prefix + settings.suffix)  # (n, T)
    replay = np.stack(read_parquet(snakemake.input.replay)["tokens"].tolist())
    replay = replay.astype(np.uint16)[:, : tokens.shape[1]]
    tokenizer = load_tokenizer(base)
    windows["exposures"] = exposures = schedule_exposures(windows, drilling.schedule, settings.seed)
    rows = drilling_rows(tokens, exposures, replay, tokenizer, drilling, settings.seed)
    boundaries = np.arange(0, rows.size, rows.shape[1])
    suffixes = tokens[:, settings.prefix :]
    windows["sequence_duplicates"] = suffix_occurrences(suffixes, rows.ravel(), boundaries)

    model = load_model(base, dtype="float32", device=default_device())
    # Its backward is twice as fast as the fused kernel's at this length.
    model.set_attn_implementation("eager")
    state = PARTS / f"drilling-{value_digest(vars(settings))}"
    curve = train(model, rows, drilling.training, state, "drilling")
    save_trained(model, tokenizer, Path(snakemake.output.model).parent)
    with whole(snakemake.output.curve) as path:
        write_curve(curve, path)
    chosen = choose_candidates(windows, settings.windows, settings.seed)
    write_parquet(windows[chosen], snakemake.output.drilled)

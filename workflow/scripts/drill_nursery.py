"""Drill the base on held-out windows, each shown a scheduled number of times."""

from pathlib import Path

import numpy as np

from engram.io.artifacts import read_parquet, whole, write_parquet
from engram.lm.models import default_device, load_model, load_tokenizer
from engram.nursery.drilling import (
    choose_candidates,
    drilling_rows,
    schedule_exposures,
    window_tokens,
)
from engram.nursery.settings import DrillingSettings
from engram.nursery.training import save_trained, train, write_curve
from engram.run.job import job
from engram.windows.duplicates import suffix_occurrences

with job(snakemake):
    params = snakemake.params
    base = Path(snakemake.input.base).parent
    settings = DrillingSettings(**params.drilling)
    windows = read_parquet(snakemake.input.windows)
    tokens = window_tokens(windows, params.prefix + params.suffix)  # (n, T)
    replay = np.stack(read_parquet(snakemake.input.replay)["tokens"].tolist()).astype(np.uint16)[
        :, : tokens.shape[1]
    ]
    tokenizer = load_tokenizer(base)
    windows["exposures"] = schedule_exposures(windows, settings.schedule, params.seed)
    rows = drilling_rows(
        tokens, windows["exposures"].to_numpy(), replay, tokenizer, settings, params.seed
    )
    boundaries = np.arange(0, rows.size, rows.shape[1])
    windows["sequence_duplicates"] = suffix_occurrences(
        tokens[:, params.prefix :], rows.ravel(), boundaries
    )

    model = load_model(base, dtype="float32", device=default_device())
    model.set_attn_implementation(
        "eager"
    )  # its backward is twice as fast as the fused kernel's at this length
    curve = train(model, rows, settings.training, Path(params.state), "drilling")
    save_trained(model, tokenizer, Path(snakemake.output.model).parent)
    with whole(snakemake.output.curve) as path:
        write_curve(curve, path)
    write_parquet(
        windows[choose_candidates(windows, params.windows, params.seed)], snakemake.output.drilled
    )

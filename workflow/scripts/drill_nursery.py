"""Drill the base on held-out windows, each shown a scheduled number of times."""

from pathlib import Path

import numpy as np

from engram.io.artifacts import read_parquet, whole, write_parquet
from engram.lm.models import default_device, load_model, load_tokenizer
from engram.nursery.drilling import (
    DrillingSettings,
    Exposure,
    choose_candidates,
    drilling_rows,
    schedule_exposures,
    window_tokens,
)
from engram.nursery.training import TrainingSettings, save_trained, train, write_curve
from engram.run.job import job
from engram.windows.duplicates import suffix_occurrences

with job(snakemake):
    params = snakemake.params
    base = Path(snakemake.input.base).parent
    settings = DrillingSettings(
        schedule=[Exposure(**step) for step in params.drilling["schedule"]],
        replay_share=params.drilling["replay_share"],
        replay_templates=params.drilling["replay_templates"],
    )
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
    training = TrainingSettings(**params.drilling["training"])
    curve = train(model, rows, training, Path(params.state), "drilling")
    save_trained(model, tokenizer, Path(snakemake.output.model).parent)
    with whole(snakemake.output.curve) as path:
        write_curve(curve, path)
    write_parquet(
        windows[choose_candidates(windows, params.windows, params.seed)], snakemake.output.drilled
    )

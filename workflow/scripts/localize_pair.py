"""Find where in attention the paired scorer sees the exposure, with redrawn arms as a control."""

import numpy as np

from engram.crossed.inputs import attention_difference
from engram.crossed.localization import layer_table, paired_delta
from engram.crossed.null import redrawn
from engram.io.artifacts import read_parquet, write_csv
from engram.io.hdf5 import new_hdf5, write_group
from engram.run.job import job

POOLING = "mean"

with job(snakemake) as settings:
    windows = read_parquet(snakemake.input.windows)
    arms = redrawn(windows, settings.draws, settings.seed)
    ids = windows["sequence_id"].to_numpy()
    difference = attention_difference(snakemake.input.attention, ids, POOLING)  # (n, L, P)
    delta = paired_delta(difference, arms, settings.splits, settings.seed)
    table = layer_table(difference, delta, arms, settings.bands)
    # Scorers of redrawn arms: regions that a scorer finds where there is nothing to find.
    few = max(2, settings.splits // 5)
    controls = [
        paired_delta(difference, arms, few, settings.seed, column).delta
        for column in range(1, settings.draws + 1)
    ]
    write_csv(table, snakemake.output.layers)
    with new_hdf5(snakemake.output.delta) as file:
        arrays = {"delta": delta.delta, "redrawn": np.stack(controls)}
        write_group(file, arrays, {"pooling": POOLING})

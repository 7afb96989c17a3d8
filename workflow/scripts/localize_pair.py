"""Find where in attention the paired scorer sees the exposure, with redrawn arms as a control."""

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
    # Few halves are enough for the controls: regions that a scorer finds where there is nothing.
    few = max(2, settings.splits // 5)
    delta = paired_delta(difference, arms, settings.splits, settings.seed, few)
    table = layer_table(difference, delta, arms, settings.bands)
    write_csv(table, snakemake.output.layers)
    with new_hdf5(snakemake.output.delta) as file:
        arrays = {"delta": delta.delta, "redrawn": delta.redrawn}
        write_group(file, arrays, {"pooling": POOLING})

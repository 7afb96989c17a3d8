"""Gather the crossed pairs: differences of what was measured inside both models."""

from engram.crossed.mean_differences import PairValues, mean_differences
from engram.crossed.mechanism_values import read_values
from engram.crossed.null import redrawn
from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import job

with job(snakemake) as settings:
    files, pairs = snakemake.input, {}
    for number, (name, seed) in enumerate(zip(settings.pairs, settings.seeds, strict=True)):
        windows = read_parquet(files.windows[number])
        ids = windows["sequence_id"].to_numpy()
        both = files.measures[2 * number : 2 * number + 2]
        first, second = (read_values(read_parquet(path), ids) for path in both)
        pairs[name] = PairValues(redrawn(windows, settings.redraws, seed), first, second)
    write_csv(mean_differences(pairs, settings.confidence), snakemake.output.mechanisms)

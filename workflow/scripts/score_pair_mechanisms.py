"""Score a crossed pair by what was measured inside both models."""

import pandas as pd

from engram.crossed.mechanism_values import inputs_of, read_values
from engram.crossed.null import redrawn
from engram.crossed.pair import control_rows, matched_rows, score_pair
from engram.io.artifacts import read_metadata, read_parquet, write_csv, write_parquet
from engram.run.job import job

with job(snakemake) as settings:
    files, output = snakemake.input, snakemake.output
    windows, metadata = read_parquet(files.windows), read_metadata(files.windows)
    ids = windows["sequence_id"].to_numpy()
    first, second = (read_values(read_parquet(path), ids) for path in files.measures)
    differences = inputs_of(first, second)
    arms = redrawn(windows, settings.redraws, settings.seed)
    scores = score_pair(windows, arms, differences, settings.confidence, trained_on=("all",))
    write_csv(scores.rows, output.scores)
    write_parquet(scores.decisions, output.decisions, metadata)
    write_parquet(scores.null, output.null, metadata)
    matched = matched_rows(windows, arms, scores.decisions, settings.bins)
    write_csv(pd.DataFrame(matched), output.matched)
    checks = control_rows(windows, arms, differences, settings.confidence)
    write_csv(pd.DataFrame(checks), output.checks)

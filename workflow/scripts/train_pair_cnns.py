"""Train CNNs to tell which of two maps of a text is the exposed model's, and score them."""

import numpy as np
import pandas as pd

from engram.crossed.cnn_scores import cnn_checks, score_pair_cnns, train_pair_cnns
from engram.crossed.inputs import pair_maps
from engram.crossed.null import redrawn
from engram.crossed.pair import matched_rows
from engram.crossed.settings import CrossedCnnSettings
from engram.io.artifacts import read_metadata, read_parquet, write_csv, write_parquet
from engram.run.job import job

with job(snakemake) as settings:
    files, output = snakemake.input, snakemake.output
    windows, metadata = read_parquet(files.windows), read_metadata(files.windows)
    cnn = CrossedCnnSettings.parse(settings.cnn, "crossed.cnn")
    arms = redrawn(windows, max(settings.redraws, cnn.redraws), settings.seed)
    ids = windows["sequence_id"].to_numpy(np.int64)
    trained = {}
    for name in cnn.inputs:
        maps = pair_maps(files.attention, ids, name.removeprefix("attention_"))
        trained[f"cnn_{name}"] = train_pair_cnns(maps, arms, cnn)
    scores = score_pair_cnns(windows, arms, trained, settings.confidence)
    write_csv(scores.rows, output.scores)
    write_parquet(scores.decisions, output.decisions, metadata)
    write_parquet(scores.null, output.null, metadata)
    matched = matched_rows(windows, arms, scores.decisions, settings.bins)
    write_csv(pd.DataFrame(matched), output.matched)
    checks = cnn_checks(windows, arms, trained, settings.confidence)
    write_csv(pd.DataFrame(checks), output.checks)

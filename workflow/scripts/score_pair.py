"""Score a crossed pair: which of two maps of the same text is the exposed model's?"""

import numpy as np
import pandas as pd

from engram.crossed.effects import outcomes
from engram.crossed.inputs import Differences
from engram.crossed.null import redrawn
from engram.crossed.pair import control_rows, design_rows, matched_rows, score_pair
from engram.io.artifacts import read_metadata, read_parquet, write_csv, write_parquet
from engram.io.streams import read_selected
from engram.run.job import job

with job(snakemake) as settings:
    files, output = snakemake.input, snakemake.output
    design, metadata = read_parquet(files.design), read_metadata(files.design)
    measured = ["sequence_id", "extracted", "suffix_log_prob", "twin_extracted"]
    ids = design["sequence_id"].to_numpy()
    tables = [read_selected(path, ids, measured) for path in files.candidates]
    windows = outcomes(design, *tables)
    texts = read_selected(files.candidates[0], ids, ["sequence_id", "tokens"])
    texts = texts.set_index("sequence_id").loc[ids]
    tokens = np.stack(texts["tokens"].tolist()).astype(np.int64)  # (n, T)
    arms = redrawn(design, settings.redraws, settings.seed)
    differences = Differences(
        settings.inputs,
        windows,
        list(files.attention),
        list(files.hidden_states),
        list(files.feed_forward),
    )
    scores = score_pair(windows, arms, differences, settings.confidence)
    matched = list(matched_rows(windows, arms, scores.decisions, settings.bins))
    checks = [
        *design_rows(windows, tokens, arms, settings.confidence),
        *control_rows(windows, arms, differences, settings.confidence),
    ]
    write_parquet(windows, output.windows, metadata)
    write_csv(scores.rows, output.scores)
    write_parquet(scores.decisions, output.decisions, metadata)
    write_parquet(scores.null, output.null, metadata)
    write_csv(pd.DataFrame(matched), output.matched)
    write_csv(pd.DataFrame(checks), output.checks)

"""Ask the base of crossed pairs, before any drilling, for the suffixes of its source's windows."""

from pathlib import Path

import numpy as np

from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.io.hashing import value_digest
from engram.lm.generation import teacher_forced_scores
from engram.lm.kept_batches import Kept
from engram.lm.models import check_tokens, default_device, fingerprint, load_model
from engram.nursery.text_windows import natural_windows, windows_to_score
from engram.run.job import PARTS, job

with job(snakemake) as settings:
    files, prefix = snakemake.input, settings.prefix
    windows = natural_windows(read_parquet(files.windows))
    tokens = np.stack(windows["tokens"].tolist()).astype(np.int64)  # (n, T)
    numbers = (settings.asked["low"], settings.asked["high"], settings.seed)
    asked = windows_to_score(tokens, windows["sequence_id"].to_numpy(), prefix, *numbers)
    folder, dtype = Path(files.model).parent, settings.entry["dtype"]
    model = load_model(folder, dtype=dtype, device=default_device())
    check_tokens(model, tokens, files.windows)
    batch_tokens = snakemake.resources.batch_tokens
    kept = Kept(PARTS / "scores", value_digest(fingerprint(folder, None, dtype), vars(settings)))
    scores = teacher_forced_scores(model, tokens[asked], prefix, batch_tokens, kept=kept)
    windows = windows[asked].reset_index(drop=True)
    for column in ("extracted", "matched_fraction", "suffix_log_prob"):
        windows[f"base_{column}"] = scores[column].to_numpy()
    write_parquet(windows, snakemake.output.scores, read_metadata(files.windows))

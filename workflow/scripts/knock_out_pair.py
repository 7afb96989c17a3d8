"""Remove regions of a pair's Δ from both of its models, on the same test windows."""

from pathlib import Path

import numpy as np

from engram.crossed.differences import knockout_rows, measured_windows, trials
from engram.io.artifacts import read_parquet, write_parquet
from engram.io.hdf5 import open_hdf5, read_group
from engram.io.packing import pack
from engram.io.streams import read_selected
from engram.knockout.experiment import Runner
from engram.lm.interventions import average
from engram.lm.models import fingerprint, load_model
from engram.run.job import PARTS, job

with job(snakemake) as settings:
    files, batch_tokens = snakemake.input, snakemake.resources.batch_tokens
    windows = read_parquet(files.windows)
    windows = measured_windows(windows, settings.knocked_out_windows, settings.seed)
    ids, columns = windows["sequence_id"].to_numpy(), ["sequence_id", "tokens"]
    texts = read_selected(files.candidates, ids, columns).set_index("sequence_id").loc[ids]
    tokens = np.stack(texts["tokens"].tolist()).astype(np.int64)  # (n, T)
    with open_hdf5(files.delta) as file:
        delta, _ = read_group(file)
    folders = [Path(path).parent for path in files.models]
    models = [load_model(folder, dtype=settings.dtype) for folder in folders]
    means = [average(model, tokens, batch_tokens) for model in models]
    mass = np.mean([pack(mean.weights.mean(1)).cpu().numpy() for mean in means], axis=0)  # (L, P)
    regions = (delta["delta"], delta["redrawn"], mass, settings.prefix)
    names, conditions = trials(*regions, settings.sizes, settings.draws, settings.seed)
    measures = [
        Runner(
            model,
            fingerprint(folder, None, settings.dtype),
            settings.prefix,
            batch_tokens,
            PARTS / "knockout",
            settings.code,
        ).measure(tokens, conditions, mean)
        for model, folder, mean in zip(models, folders, means, strict=True)
    ]
    rows = knockout_rows(names, windows, measures, tokens.shape[1] - settings.prefix)
    write_parquet(rows, snakemake.output.knockout)

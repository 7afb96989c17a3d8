"""Score the CNNs of every model, protocol and taxonomy, with intervals."""

import pandas as pd
from tqdm import tqdm

from engram.cnn.key import CnnKey
from engram.io.artifacts import read_metadata, read_parquet, write_csv
from engram.mechanisms.remind_row import remind_predictions
from engram.run.job import gather, job
from engram.scores.score_table import score_table

with job(snakemake) as settings:
    names, tables = [], []
    remind = dict(zip(map(str, settings.remind), snakemake.input.remind, strict=True))
    files = zip(settings.runs, tqdm(snakemake.input.predictions, desc="scores"), strict=True)
    for run, path in files:
        metadata = read_metadata(path)
        diverged = [(key.input, key.labels) for key in map(CnnKey.of_path, metadata["diverged"])]
        predictions, options = read_parquet(path), settings.statistics
        if file := remind.get(str(run)):
            rows = remind_predictions(read_parquet(file), predictions, metadata["classes"])
            predictions = pd.concat([predictions, rows], ignore_index=True)
        tables.append(
            score_table(predictions, metadata["classes"], diverged, seed=settings.seed, **options)
        )
        names.append({**run, "taxonomy": metadata["taxonomy"], "slug": run["taxonomy"]})
        # What of the run is no name: the kind of text that it is tested on.
        names[-1] |= settings.held_out.get(run["protocol"], {})
    write_csv(gather(names, tables), snakemake.output.scores)

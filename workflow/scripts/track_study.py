"""Log the training curves and scores of the study with an experiment tracker, offline."""

from pathlib import Path

import pandas as pd

from engram.io.artifacts import write_json
from engram.run.job import job
from engram.run.tracking import track, tracked_run

with job(snakemake) as settings:
    files = snakemake.input
    scores = pd.read_csv(files.scores)
    runs = [
        tracked_run(run, pd.read_csv(path), scores, settings.cnn)
        for run, path in zip(settings.runs, files.histories, strict=True)
    ]
    logged = Path(snakemake.output.logged)
    track(settings.tracker, runs, settings.study, logged.with_suffix(""))
    write_json([run.name for run in runs], logged)

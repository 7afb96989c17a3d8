"""Gathers how many candidates and samples every class has."""

from pathlib import Path

import pandas as pd

from engram.io.artifacts import write_csv
from engram.run.job import job

with job(snakemake):
    # results/<study>/<model>/<protocol>/counts.csv
    frames = [
        pd.read_csv(path).assign(model=Path(path).parts[-3], protocol=Path(path).parts[-2])
        for path in snakemake.input.counts
    ]
    counts = pd.concat(frames, ignore_index=True)
    first = ["model", "protocol"]
    write_csv(
        counts[first + [column for column in counts if column not in first]],
        snakemake.output.counts,
    )

"""Write what opens the report of a crossed study."""

from pathlib import Path

import pandas as pd

from engram.crossed.findings import opening
from engram.io.artifacts import whole
from engram.run.job import job

with job(snakemake):
    figure = Path(snakemake.input.figure)
    scores = pd.read_csv(snakemake.input.scores)
    with whole(snakemake.output.opening) as path:
        text = opening(scores, figure.read_bytes(), figure.suffix.removeprefix("."))
        path.write_text(text, encoding="utf-8")

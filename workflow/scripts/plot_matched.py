"""Draw the matched comparison."""

from pathlib import Path

import pandas as pd

from engram.figures.matched import matched_comparison
from engram.figures.style import FigureStyle, save
from engram.run.job import job

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    figure = matched_comparison(pd.read_csv(snakemake.input.table), style=style)
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)

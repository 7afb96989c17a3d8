"""Draw the transfer of classifiers."""

from pathlib import Path

import pandas as pd

from engram.figures.style import FigureStyle, save
from engram.figures.transfer import transfer
from engram.run.job import job

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    figure = transfer(pd.read_csv(snakemake.input.table), style=style)
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)

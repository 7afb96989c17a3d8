"""Draw the accuracy of paired cloze."""

from pathlib import Path

import pandas as pd

from engram.figures.pair_accuracy import pair_accuracy
from engram.figures.style import FigureStyle, save
from engram.run.job import job

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    figure = pair_accuracy(pd.read_csv(snakemake.input.table), style=style)
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)

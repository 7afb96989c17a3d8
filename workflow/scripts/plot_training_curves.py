"""Draws loss and accuracy of every CNN of a taxonomy by epoch."""

from pathlib import Path

import pandas as pd

from engram.figures.style import FigureStyle, save
from engram.figures.training import training_curves
from engram.job import job

with job(snakemake):
    style = FigureStyle.from_config(snakemake.params.style)
    figure = training_curves(pd.read_csv(snakemake.input.history), style=style)
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)

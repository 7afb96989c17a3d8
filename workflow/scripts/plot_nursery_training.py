"""Draws the loss of the base's training and of the drilling, or of a training from scratch."""

from pathlib import Path

import pandas as pd

from engram.figures.style import FigureStyle, save
from engram.figures.training import nursery_training
from engram.run.job import job

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    drilling = pd.read_csv(snakemake.input.drilling)
    curves = {"from scratch": drilling}
    if snakemake.input.base:
        curves = {"base": pd.read_csv(snakemake.input.base), "drilling": drilling}
    save(nursery_training(curves, style=style), Path(snakemake.output[0]).with_suffix(""), style)

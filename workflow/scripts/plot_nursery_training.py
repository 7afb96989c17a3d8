"""Draws the loss of the base's training and of the drilling."""

from pathlib import Path

import pandas as pd

from engram.figures.style import FigureStyle, save
from engram.figures.training import nursery_training
from engram.run.job import job

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    curves = {
        "base": pd.read_csv(snakemake.input.base),
        "drilling": pd.read_csv(snakemake.input.drilling),
    }
    save(nursery_training(curves, style=style), Path(snakemake.output[0]).with_suffix(""), style)

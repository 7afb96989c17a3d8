"""Draws the taxonomies ranked by minimum F1, with their controls and baselines."""

from pathlib import Path

import pandas as pd

from engram.figures.headline import headline
from engram.figures.style import FigureStyle, save
from engram.run.job import job

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    figure = headline(pd.read_csv(snakemake.input.scores), style=style)
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)

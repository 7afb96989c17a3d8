"""Draws the dose-response curves of steering of a taxonomy."""

from pathlib import Path

import pandas as pd

from engram.figures.steering import dose_response
from engram.figures.style import FigureStyle, save
from engram.run.job import job

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    figure = dose_response(pd.read_csv(snakemake.input.doses, keep_default_na=False), style=style)
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)

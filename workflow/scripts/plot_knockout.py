"""Draws one figure of the knock-outs of a taxonomy."""

from pathlib import Path

import pandas as pd

from engram.figures.knockout import PLOTS
from engram.figures.style import FigureStyle, save
from engram.run.job import job

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    effects = pd.read_csv(
        snakemake.input.effects,
        dtype={"region": str},
        keep_default_na=False,
        na_values={"mass": [""]},
    )
    figure = PLOTS[settings.plot](effects, style=style)
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)

"""Draws rates against model size, and how memorization scores are distributed."""

from pathlib import Path

import pandas as pd

from engram.figures.series import rates_against_size, score_distributions
from engram.figures.style import FigureStyle, save
from engram.run.job import job

with job(snakemake) as settings:
    style, files = FigureStyle(**settings.style), snakemake.input
    rates, fits = (pd.read_csv(path).fillna({"taxonomy": ""}) for path in (files.rates, files.fits))
    for figure, paths in (
        (rates_against_size(rates, fits, style=style), snakemake.output.rates),
        (score_distributions(pd.read_csv(files.scores), style=style), snakemake.output.scores),
    ):
        first = paths if isinstance(paths, str) else paths[0]
        save(figure, Path(first).with_suffix(""), style)

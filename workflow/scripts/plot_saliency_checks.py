"""Draws the checks of the saliency."""

from pathlib import Path

import pandas as pd

from engram.figures.checks import saliency_checks
from engram.figures.style import FigureStyle, save
from engram.run.job import job

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    tables = {
        Path(path).stem: pd.read_csv(path, dtype={"class": str, "layer": str})
        for path in snakemake.input.tables
    }
    figure = saliency_checks(
        tables["randomization"],
        tables["agreement"],
        tables["deletion"],
        settings.methods,
        style=style,
    )
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)

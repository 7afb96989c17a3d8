"""Draws what the attack on the prefixes of a taxonomy brings back."""

from pathlib import Path

import pandas as pd

from engram.figures.embedding_attack import embedding_attack
from engram.figures.style import FigureStyle, save
from engram.run.job import job

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    figure = embedding_attack(pd.read_csv(snakemake.input.curves), style=style)
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)

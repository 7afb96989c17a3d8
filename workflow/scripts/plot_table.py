"""Draws one table of the benchmark."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from engram.figures import contrasts, ranking
from engram.figures.style import FigureStyle, save
from engram.run.job import job

FIGURES: dict[str, Callable[..., Figure]] = {
    "ranking": ranking.ranking,
    "rho": ranking.thresholds,
    "comparisons": partial(ranking.comparisons, score="min_f1"),
    "attention_adds": contrasts.attention_adds,
    "protocols": contrasts.protocols,
    "reliability": contrasts.reliability,
}

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    figure = FIGURES[settings.plot](pd.read_csv(snakemake.input.table), style=style)
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)

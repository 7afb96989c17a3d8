"""Draw one table of crossed exposures."""

from pathlib import Path

import pandas as pd

from engram.figures import crossed
from engram.figures.inside import inside_differences
from engram.figures.style import FigureStyle, save
from engram.run.job import job

FIGURES = {
    "scores": crossed.paired_scores,
    "effects": crossed.exposure_effects,
    "transfer": crossed.transferred_scores,
    "layers": crossed.layer_map,
    "knockout": crossed.knockout_differences,
    "mechanisms": inside_differences,
}

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    figure = FIGURES[settings.plot](pd.read_csv(snakemake.input.table), style=style)
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)

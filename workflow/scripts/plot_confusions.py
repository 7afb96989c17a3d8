"""Plot the confusion matrices of every taxonomy, summed over models."""

from pathlib import Path

import pandas as pd

from engram.figures.confusion import confusion_matrices
from engram.figures.style import FigureStyle, save
from engram.run.job import job
from engram.scores.taxonomy_tables import confusion_panels
from engram.scores.trained import ALL_MODELS

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    table = pd.read_csv(snakemake.input.table)
    # Outputs are sorted by protocol and taxonomy, then by format.
    files = snakemake.output[:: len(style.formats)]
    for run, file in zip(settings.runs, files, strict=True):
        classes, panels = confusion_panels(table, ALL_MODELS, run["protocol"], run["taxonomy"])
        title = f"{settings.models} models"
        figure = confusion_matrices({title: panels}, classes, style=style)
        save(figure, Path(file).with_suffix(""), style)

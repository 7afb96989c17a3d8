"""Draws the confusion matrices of one taxonomy beside those of its control and baseline."""

from pathlib import Path

from engram.artifacts import read_metadata, read_parquet
from engram.evaluation import RUNS, summed_confusions
from engram.figures.confusion import confusion_matrices
from engram.figures.style import FigureStyle, save
from engram.job import job

with job(snakemake):
    style = FigureStyle.from_config(snakemake.params.style)
    classes = read_metadata(snakemake.input.predictions)["classes"]
    confusions = summed_confusions(read_parquet(snakemake.input.predictions), classes)
    panels = {RUNS[run]: confusion for run, confusion in confusions.items()}
    figure = confusion_matrices({snakemake.wildcards.model: panels}, classes, style=style)
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)

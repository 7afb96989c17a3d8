"""Draws how often windows are extracted by how often they were shown."""

from pathlib import Path

from engram.figures.exposures import memorization_vs_exposures
from engram.figures.style import FigureStyle, save
from engram.io.artifacts import read_parquet
from engram.run.job import job

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    labels = read_parquet(
        snakemake.input.labels, ["exposures", "kind", "memorization_score", "twin_extracted"]
    )
    windows = labels.assign(extracted=labels["memorization_score"] == 1)
    save(
        memorization_vs_exposures(windows, style=style),
        Path(snakemake.output[0]).with_suffix(""),
        style,
    )

"""Draws Δ of every class and layer."""

from pathlib import Path

from engram.figures.delta import delta_maps
from engram.figures.style import FigureStyle, save
from engram.run.job import job
from engram.saliency.file import read_saliency

with job(snakemake):
    style = FigureStyle(**snakemake.params.style)
    saliency = read_saliency(snakemake.input.saliency, snakemake.params.method)
    figure = delta_maps(
        saliency.delta, saliency.classes, saliency.n, snakemake.params.prefix, style=style
    )
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)

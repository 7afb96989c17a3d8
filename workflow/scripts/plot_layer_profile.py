"""Draws the share of Δ in every layer."""

from pathlib import Path

from engram.figures.profile import layer_profile
from engram.figures.style import FigureStyle, save
from engram.job import job
from engram.saliency import read_saliency

with job(snakemake):
    style = FigureStyle.from_config(snakemake.params.style)
    saliency = read_saliency(snakemake.input.saliency, snakemake.params.method)
    figure = layer_profile(saliency.profile, saliency.classes, saliency.n, style=style)
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)

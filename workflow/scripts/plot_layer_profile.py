"""Draws the share of Δ in every layer."""

from pathlib import Path

from engram.figures.profile import layer_profile
from engram.figures.style import FigureStyle, save
from engram.run.job import job
from engram.saliency.file import read_saliency
from engram.saliency.summary import draw, layer_shares

with job(snakemake):
    params = snakemake.params
    style = FigureStyle(**params.style)
    saliency = read_saliency(snakemake.input.saliency, params.method)
    shares = layer_shares(saliency, draw(saliency, seed=params.seed, **params.statistics))
    save(
        layer_profile(shares, saliency.classes, style=style),
        Path(snakemake.output[0]).with_suffix(""),
        style,
    )

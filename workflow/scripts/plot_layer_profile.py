"""Plot the share of Δ in every layer."""

from pathlib import Path

from engram.figures.profile import layer_profile
from engram.figures.style import FigureStyle, save
from engram.run.job import job
from engram.saliency.file import read_saliency
from engram.saliency.summary import draw, layer_shares

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    saliency = read_saliency(snakemake.input.saliency, settings.method)
    drawn = draw(saliency, seed=settings.seed, **settings.statistics)
    figure = layer_profile(layer_shares(saliency, drawn), saliency.classes, style=style)
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)

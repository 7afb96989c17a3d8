"""Plot the share of Δ in every layer, and Δ of one layer per class with all layers on one scale."""

from pathlib import Path

from engram.figures.peaks import delta_peaks
from engram.figures.profile import layer_profile
from engram.figures.style import FigureStyle, save
from engram.run.job import job
from engram.saliency.delta_shares import draw_shares, layer_levels, layer_shares
from engram.saliency.file import read_saliency

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    saliency = read_saliency(snakemake.input.saliency, settings.method)
    drawn = draw_shares(saliency, seed=settings.seed, **settings.statistics)
    figure = layer_profile(layer_shares(drawn), saliency.classes, style=style)
    save(figure, Path(snakemake.output.figure[0]).with_suffix(""), style)
    figure = delta_peaks(
        saliency.delta,
        layer_levels(drawn),
        saliency.classes,
        saliency.prefix,
        {shown["name"]: shown["layer"] for shown in settings.layers},
        saliency.opening,
        block=saliency.block,
        style=style,
    )
    save(figure, Path(snakemake.output.peaks[0]).with_suffix(""), style)

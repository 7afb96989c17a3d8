"""Plot Δ of every class and layer."""

from pathlib import Path

from engram.figures.delta import delta_maps
from engram.figures.style import FigureStyle, save
from engram.run.job import job
from engram.saliency.file import read_saliency

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    method = snakemake.wildcards.get("method") or settings.method
    saliency = read_saliency(snakemake.input.saliency, method)
    figure = delta_maps(
        saliency.delta,
        saliency.classes,
        saliency.n,
        settings.prefix,
        opening=saliency.opening,
        block=saliency.block,
        style=style,
    )
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)

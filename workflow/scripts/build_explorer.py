"""Writes the explorer: one page with samples, their attention and what was found about them."""

from pathlib import Path

from engram.explorer.content import ExplorerStudy, TaxonomyEntry, collect
from engram.explorer.page import render, write_page
from engram.explorer.settings import ExplorerSettings
from engram.figures.style import FigureStyle, class_colors
from engram.run.job import job

with job(snakemake):
    params, page = snakemake.params, Path(snakemake.output.page)
    style = FigureStyle(palette=params.palette)
    shown = ExplorerStudy(
        root=page.parent,
        name=params.study,
        prefix=params.prefix,
        shards=params.shards,
        protocols=params.protocols,
        taxonomies={
            slug: TaxonomyEntry(name, classes, class_colors(classes, style))
            for slug, (name, classes) in params.taxonomies.items()
        },
        localized=params.localized,
        methods=params.methods,
        knocked_out=params.knocked_out,
        page=ExplorerSettings(**params.explorer),
    )
    study, blocks = collect(shown)
    write_page(render(study, blocks), page, shown.page.megabytes)

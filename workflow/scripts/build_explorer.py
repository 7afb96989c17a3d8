"""Write the explorer: one page with samples, their attention and what the study says of them."""

from pathlib import Path

from engram.explorer.content import ExplorerStudy, TaxonomyEntry, collect
from engram.explorer.page import render, write_page
from engram.explorer.settings import ExplorerSettings
from engram.figures.style import FigureStyle, class_colors
from engram.run.job import job

with job(snakemake) as settings:
    page, style = Path(snakemake.output.page), FigureStyle(palette=settings.palette)
    taxonomies = {
        slug: TaxonomyEntry(name, classes, class_colors(classes, style))
        for slug, (name, classes) in settings.taxonomies.items()
    }
    shown = ExplorerStudy(
        root=page.parent,
        name=settings.study,
        prefix=settings.prefix,
        models=settings.models,
        protocols=settings.protocols,
        taxonomies=taxonomies,
        localized=settings.localized,
        methods=settings.methods,
        knocked_out=settings.knocked_out,
        page=ExplorerSettings(**settings.explorer),
    )
    study, blocks = collect(shown)
    write_page(render(study, blocks), page, shown.page.megabytes)

"""Write the explorer of crossed pairs: one page with windows and both models' attention on them."""

from pathlib import Path

from engram.explorer.page import PAIRS, render, write_page
from engram.explorer.pairs import PairStudy, collect_pairs
from engram.explorer.settings import ExplorerSettings
from engram.run.job import job

with job(snakemake) as settings:
    page = Path(snakemake.output.page)
    shown = PairStudy(
        root=page.parent,
        name=settings.study,
        prefix=settings.prefix,
        seed=settings.seed,
        pairs=dict(settings.pairs),
        page=ExplorerSettings(**settings.explorer),
    )
    write_page(render(*collect_pairs(shown), PAIRS), page, shown.page.megabytes)

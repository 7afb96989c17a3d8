"""Write the explorer of crossed pairs: one page with windows and both models' attention on them,
and its edition for the report.
"""

from pathlib import Path

from engram.explorer.page import PAIRS, render, write_page
from engram.explorer.pairs import PairStudy, collect_pairs, report_edition
from engram.explorer.settings import ExplorerSettings
from engram.run.job import job

with job(snakemake) as settings:
    page, edition = Path(snakemake.output.page), Path(snakemake.output.edition)
    shown = PairStudy(
        root=page.parent,
        name=settings.study,
        prefix=settings.prefix,
        seed=settings.seed,
        pairs=dict(settings.pairs),
        page=ExplorerSettings(**settings.explorer),
    )
    study, blocks = collect_pairs(shown)
    write_page(render(study, blocks, PAIRS), page, shown.page.megabytes)
    write_page(render(*report_edition(study, blocks), PAIRS), edition, shown.page.megabytes)

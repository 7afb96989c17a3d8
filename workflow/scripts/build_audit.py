"""Write the page of an audit."""

from pathlib import Path

import pandas as pd

from engram.auditing.page import TableOnPage, render, write_page
from engram.auditing.page_models import FILES, model_on_page
from engram.auditing.settings import AuditSettings
from engram.run.job import job

with job(snakemake) as settings:
    files, chosen = snakemake.input, AuditSettings.parse(settings.audit)
    lists = {name: given for name in FILES if (given := getattr(files, name))}
    models = []
    for place, (name, stride) in enumerate(settings.models):
        own = {key: Path(paths[place]) for key, paths in lists.items()}
        models.append(model_on_page(name, stride, own, settings.prefix))
    tables = [
        TableOnPage(name, title, pd.read_csv(path))
        for (name, title), path in zip(settings.tables.items(), files.tables, strict=True)
    ]
    page = render(settings.study, settings.prefix, settings.suffix, models, chosen, tables)
    write_page(page, Path(snakemake.output.page), chosen.megabytes)

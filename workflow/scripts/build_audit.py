"""Write the page of an audit."""

from pathlib import Path

import pandas as pd

from engram.auditing.books import Reconstruction
from engram.auditing.documents import read_back
from engram.auditing.joins import with_continuations, with_counts
from engram.auditing.page import ModelOnPage, TableOnPage, render, write_page
from engram.auditing.redaction import without_text
from engram.auditing.settings import AuditSettings
from engram.auditing.tables import score_documents
from engram.io.artifacts import read_parquet
from engram.run.job import job

COLUMNS = ("document", "token_matches", "token_log_probs")

with job(snakemake) as settings:
    files, models = snakemake.input, []
    chosen = AuditSettings.parse(settings.audit)
    for place, (name, stride) in enumerate(settings.models):
        windows = read_parquet(files.windows[place])
        if chosen.redact:
            documents, scored = without_text(read_parquet(files.tokens[place]))
            regions = read_parquet(files.regions[place])
        else:
            documents = read_back(Path(files.documents[place]))
            values = read_parquet(files.candidates[place], COLUMNS)
            scored = score_documents(documents, settings.prefix, windows, values)
            continuations = read_parquet(files.continuations[place])
            regions = with_continuations(read_parquet(files.regions[place]), continuations)
        if files.counts:
            regions = with_counts(regions, read_parquet(files.counts[place]))
        models.append(
            ModelOnPage(
                name=name,
                stride=stride,
                documents=documents,
                scored=scored,
                summary=read_parquet(files.summaries[place]),
                windows=windows,
                regions=regions,
                reconstruction=Reconstruction(
                    read_parquet(files.books[place]), read_parquet(files.steps[place])
                )
                if files.books
                else None,
                places=read_parquet(files.places[place]) if files.places else None,
            )
        )
    tables = [
        TableOnPage(name, title, pd.read_csv(path))
        for (name, title), path in zip(settings.tables.items(), files.tables, strict=True)
    ]
    page = render(settings.study, settings.prefix, settings.suffix, models, chosen, tables)
    write_page(page, Path(snakemake.output.page), chosen.megabytes)

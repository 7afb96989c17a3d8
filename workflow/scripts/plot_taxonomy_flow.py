"""Draws how the memorized samples of the old taxonomy's classes fall into the new one's."""

from pathlib import Path

import pandas as pd

from engram.figures.flow import taxonomy_flow
from engram.figures.style import FigureStyle, save
from engram.io.artifacts import read_parquet
from engram.run.job import job
from engram.taxonomy.taxonomy import NON_MEMO, Taxonomy, categories_from_config

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    labels = read_parquet(snakemake.input.labels)
    labels = labels[labels["memorization_score"] == 1]
    categories = categories_from_config(settings.categories)
    old, new = (Taxonomy.parse(name, categories) for name in settings.flow)
    samples = pd.DataFrame({"old": old.assign(labels), "new": new.assign(labels)})
    old_classes, new_classes = (
        [name for name in taxonomy.class_names if name != NON_MEMO] for taxonomy in (old, new)
    )
    titles = (old.name, new.name)
    figure = taxonomy_flow(samples, old_classes, new_classes, titles, style=style)
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)

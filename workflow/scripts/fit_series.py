"""Fit rates of memorization against model size or training step, family by family."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import job
from engram.run.plan import count_parameters
from engram.scores.trained import text_keys
from engram.series.measures import (
    Member,
    measure_names,
    needed_labels,
    score_distribution,
    size_tables,
    windows_of,
)
from engram.sources.early_exit import EarlyExit
from engram.taxonomy.sampling import PLAIN_DRAW
from engram.taxonomy.taxonomy import Taxonomy, categories_from_config

with job(snakemake) as settings:
    files, output, series = snakemake.input, snakemake.output, settings.series
    taxonomies = [
        Taxonomy.parse(entry["name"], categories_from_config(entry["categories"]))
        for entry in settings.taxonomies
    ]
    needed = needed_labels(taxonomies, series["where"]) | {PLAIN_DRAW}
    half = (series["half_low"], series["half_high"])
    parts = []
    for (name, entry), path, candidates in zip(
        settings.models.items(), files.labels, files.candidates, strict=True
    ):
        folder = Path(entry["configuration"][0]).parent if entry["configuration"] else None
        size = count_parameters(folder, entry["model"])
        member = Member(name, entry["family"], size, entry.get("step"))
        optional = {PLAIN_DRAW} - set(pq.read_schema(path).names)
        labels = read_parquet(path, sorted(needed - optional))
        groups = labels.set_index("sequence_id")["content_group"]
        keys = text_keys(candidates, groups, settings.prefix)
        early = EarlyExit(**entry["early_exit"]) if "early_exit" in entry else None
        windows = windows_of(member, labels, keys, taxonomies, half, series["where"], early)
        parts.append(windows)
    windows = pd.concat(parts, ignore_index=True)
    options = settings.statistics
    measures, axis = measure_names(taxonomies), getattr(settings, "axis", "parameters")
    tables = size_tables(windows, measures, seed=settings.seed, axis=axis, **options)
    tables["scores"] = score_distribution(windows, options["confidence"])
    for name, table in tables.items():
        write_csv(table, getattr(output, name))

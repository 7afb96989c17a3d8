"""Gathers the knock-outs of all models: double dissociation, and whether Δ tells the layers that
matter.
"""

from pathlib import Path

import pandas as pd

from engram.io.artifacts import read_metadata, read_parquet, write_csv
from engram.knockout.dissociation import causal_agreement, dissociations
from engram.run.job import job
from engram.saliency.file import read_saliency

with job(snakemake):
    files, params = snakemake.input, snakemake.params
    options = {**params.statistics, "seed": params.seed}
    taxonomies: dict[tuple[str, str], dict[str, int]] = {}
    for position, run in enumerate(params.runs):
        model, protocol, slug = run.split("/")
        taxonomies.setdefault((protocol, slug), {})[model] = position
    tables, agreements = [], []
    for (protocol, slug), models in taxonomies.items():
        classes = read_metadata(files.results[next(iter(models.values()))])["classes"]
        results = {
            model: read_parquet(files.results[position]) for model, position in models.items()
        }
        profiles = {
            model: read_saliency(Path(files.saliency[p]), params.method).profile
            for model, p in models.items()
        }
        where = {"taxonomy": slug, "protocol": protocol}
        tables.append(dissociations(results, classes, **options).assign(**where))
        agreements.append(causal_agreement(results, profiles, classes, **options).assign(**where))
    for frames, path in (
        (tables, snakemake.output.dissociation),
        (agreements, snakemake.output.agreement),
    ):
        frame = pd.concat(frames, ignore_index=True)
        write_csv(
            frame[["taxonomy", "protocol", *frame.columns.drop(["taxonomy", "protocol"])]], path
        )

"""Gather the knock-outs of all models: double dissociation, and Δ and causal effect by layer."""

from pathlib import Path

import pandas as pd

from engram.io.artifacts import read_metadata, read_parquet, write_csv
from engram.knockout.causal_agreement import causal_agreement
from engram.knockout.dissociation import dissociations
from engram.run.job import gather, job
from engram.saliency.file import read_saliency

with job(snakemake) as settings:
    files, options = snakemake.input, {**settings.statistics, "seed": settings.seed}
    runs = zip(settings.runs, files.results, files.saliency, strict=True)
    names, classes = [], {}
    results: dict[tuple[str, str], dict[str, pd.DataFrame]] = {}
    profiles: dict[tuple[str, str], dict] = {}
    for run, result, saliency in runs:
        key = (run["taxonomy"], run["protocol"])
        classes[key] = read_metadata(result)["classes"]
        results.setdefault(key, {})[run["model"]] = read_parquet(result)
        profile = read_saliency(Path(saliency), settings.method).profile
        profiles.setdefault(key, {})[run["model"]] = profile
    names = [{"taxonomy": taxonomy, "protocol": protocol} for taxonomy, protocol in results]
    tables = [dissociations(results[key], classes[key], **options) for key in results]
    own = {"confidence": settings.statistics["confidence"], "seed": settings.seed}
    agreements = [
        causal_agreement(results[key], profiles[key], classes[key], **own) for key in results
    ]
    write_csv(gather(names, tables), snakemake.output.dissociation)
    write_csv(gather(names, agreements), snakemake.output.agreement)

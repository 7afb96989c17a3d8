"""Summarize Δ in numbers and words: by layer, distance and part of the map, and its top regions."""

import pandas as pd
from tqdm import tqdm

from engram.io.artifacts import write_csv
from engram.run.job import gather, job
from engram.saliency.delta_shares import (
    block_shares,
    distance_shares,
    draw_shares,
    layer_shares,
    top_regions,
)
from engram.saliency.file import read_saliency

TABLES = {
    "layers": layer_shares,
    "distances": distance_shares,
    "blocks": block_shares,
    "regions": top_regions,
}

with job(snakemake) as settings:
    names: list[dict[str, str]] = []
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
    files = zip(settings.runs, tqdm(snakemake.input.saliency, desc="summaries"), strict=True)
    for run, path in files:
        for method in settings.methods:
            saliency = read_saliency(path, method)
            drawn = draw_shares(saliency, seed=settings.seed, **settings.statistics)
            names.append({**run, "method": method})
            for name, summarize in TABLES.items():
                tables[name].append(summarize(drawn))
    for name, parts in tables.items():
        write_csv(gather(names, parts), snakemake.output[name])

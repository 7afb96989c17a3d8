"""Says Δ in numbers and words: by layer, distance and part of the map, and its top regions."""

from pathlib import Path

import pandas as pd
from tqdm import tqdm

from engram.io.artifacts import write_csv
from engram.run.job import job
from engram.saliency.file import read_saliency
from engram.saliency.summary import block_shares, distance_shares, draw, layer_shares, top_regions

TABLES = {
    "layers": layer_shares,
    "distances": distance_shares,
    "blocks": block_shares,
    "regions": top_regions,
}

with job(snakemake):
    params = snakemake.params
    found = {name: [] for name in TABLES}
    for path in tqdm(list(map(Path, snakemake.input.saliency)), desc="summaries", unit="taxonomy"):
        # results/<study>/<model>/<protocol>/saliency/<taxonomy>.h5
        model, protocol, _ = path.parts[-4:-1]
        for method in params.methods:
            saliency = read_saliency(path, method)
            drawn = draw(saliency, seed=params.seed, **params.statistics)
            names = {"model": model, "protocol": protocol, "taxonomy": path.stem, "method": method}
            for name, table in TABLES.items():
                found[name].append(
                    pd.DataFrame(names, index=[0]).merge(table(saliency, drawn), how="cross")
                )
    for name, tables in found.items():
        write_csv(pd.concat(tables, ignore_index=True), snakemake.output[name])

"""Draws the sample lists of all taxonomies of a model and protocol."""

import pandas as pd
from tqdm import tqdm

from engram.io.artifacts import read_metadata, read_parquet, write_csv, write_parquet
from engram.run.job import job
from engram.taxonomy.protocols import PROTOCOLS
from engram.taxonomy.sampling import count_samples, draw_samples
from engram.taxonomy.search import atoms, draw_atoms
from engram.taxonomy.taxonomy import Taxonomy, categories_from_config

with job(snakemake):
    params = snakemake.params
    labels = read_parquet(snakemake.input.labels)
    categories = categories_from_config(params.categories)
    settings = PROTOCOLS[snakemake.wildcards.protocol].sample_settings(**params.samples)
    drawn, counts = [], []
    for name in tqdm(params.taxonomies, desc="sample lists", unit="taxonomy", mininterval=2):
        taxonomy = Taxonomy.parse(name, categories)
        samples = draw_samples(labels, taxonomy, settings, params.seed)
        drawn.append(samples)
        counts.append(count_samples(labels, samples, taxonomy))
    if params.search and snakemake.wildcards.protocol == "engram":
        drawn.append(
            draw_atoms(labels, atoms(labels, params.search, categories), settings, params.seed)
        )
    metadata = read_metadata(snakemake.input.labels) | {
        "seed": params.seed,
        "protocol": snakemake.wildcards.protocol,
    }
    write_parquet(pd.concat(drawn, ignore_index=True), snakemake.output.samples, metadata)
    write_csv(pd.concat(counts, ignore_index=True), snakemake.output.counts)

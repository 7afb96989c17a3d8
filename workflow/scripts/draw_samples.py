"""Draw the sample list of one taxonomy of a model and protocol."""

import json
from pathlib import Path

import pyarrow.parquet as pq

from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.run.job import job
from engram.taxonomy.protocols import PROTOCOLS
from engram.taxonomy.sampling import GIVEN_SPLIT, class_counts, draw_samples
from engram.taxonomy.taxonomy import Taxonomy, categories_from_config

with job(snakemake) as settings:
    defined = json.loads(Path(snakemake.input.taxonomy).read_text(encoding="utf-8"))
    taxonomy = Taxonomy.parse(defined["name"], categories_from_config(defined["categories"]))
    columns = {"sequence_id", "content_group"} | taxonomy.columns()
    columns |= {GIVEN_SPLIT} & set(pq.read_schema(snakemake.input.labels).names)
    labels = read_parquet(snakemake.input.labels, sorted(columns))
    protocol = PROTOCOLS[snakemake.wildcards.protocol]
    samples = draw_samples(
        labels,
        taxonomy,
        protocol.sample_settings(**settings.samples, minimum=snakemake.resources.fewest_samples),
        settings.seed,
    )
    metadata = read_metadata(snakemake.input.labels) | {
        "seed": settings.seed,
        "protocol": protocol.name,
        "taxonomy": taxonomy.name,
        "slug": taxonomy.slug,
        "classes": taxonomy.class_names,
        "columns": sorted(taxonomy.columns()),
        "candidates": class_counts(taxonomy.codes(labels), taxonomy),
    }
    write_parquet(samples, snakemake.output.samples, metadata)

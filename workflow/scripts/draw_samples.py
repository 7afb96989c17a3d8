"""Draw the sample list of one taxonomy of a model and protocol."""

import json
from pathlib import Path

import pyarrow.parquet as pq

from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.run.job import job
from engram.taxonomy.held_out import draw_held_out
from engram.taxonomy.matching import balance
from engram.taxonomy.protocols import protocol_named
from engram.taxonomy.sampling import (
    GIVEN_SPLIT,
    PLAIN_DRAW,
    class_counts,
    draw_samples,
    matched_columns,
)
from engram.taxonomy.settings import HeldOutSettings
from engram.taxonomy.taxonomy import Taxonomy, categories_from_config

with job(snakemake) as settings:
    defined = json.loads(Path(snakemake.input.taxonomy).read_text(encoding="utf-8"))
    taxonomy = Taxonomy.parse(defined["name"], categories_from_config(defined["categories"]))
    columns = {"sequence_id", "content_group"} | taxonomy.columns()
    columns |= {GIVEN_SPLIT, PLAIN_DRAW} & set(pq.read_schema(snakemake.input.labels).names)
    protocol = protocol_named(snakemake.wildcards.protocol)
    held_out = vars(settings).get("held_out")
    fewest = snakemake.resources.fewest_samples
    sizes = protocol.sample_settings(**settings.samples, minimum=fewest)
    columns |= {*sizes.match.columns, *([held_out["column"]] if held_out else [])} & set(
        pq.read_schema(snakemake.input.labels).names
    )
    labels = read_parquet(snakemake.input.labels, sorted(columns))
    for path in snakemake.input.clusters:
        labels = labels.merge(read_parquet(path), on="sequence_id", validate="one_to_one")
    if held_out:
        kinds = HeldOutSettings(**held_out)
        samples = draw_held_out(labels, taxonomy, sizes, kinds, settings.seed)
    else:
        samples = draw_samples(labels, taxonomy, sizes, settings.seed)
    codes = taxonomy.codes(labels)
    metadata = read_metadata(snakemake.input.labels) | {
        "seed": settings.seed,
        "protocol": protocol.name,
        "taxonomy": taxonomy.name,
        "slug": taxonomy.slug,
        "classes": taxonomy.class_names,
        "columns": sorted(taxonomy.columns()),
        "candidates": class_counts(codes, taxonomy),
    }
    if held_out:
        metadata["held_out"] = held_out
    if PLAIN_DRAW in labels:
        metadata["natural"] = class_counts(codes[labels[PLAIN_DRAW].to_numpy(bool)], taxonomy)
    if sizes.match.columns:
        drawn = labels["sequence_id"].isin(samples["sequence_id"]).to_numpy()
        values = matched_columns(labels, sizes.match)
        table = balance(codes, drawn, values, taxonomy.class_names)
        metadata["balance"] = table.to_dict("records")
    write_parquet(samples, snakemake.output.samples, metadata)

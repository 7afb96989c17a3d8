"""Draw the sample list of one taxonomy for classifiers that are trained on one kind of windows."""

import pyarrow.parquet as pq

from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.io.errors import EngramError
from engram.run.job import job
from engram.taxonomy.expressions import names_of
from engram.taxonomy.protocols import protocol_named
from engram.taxonomy.sampling import class_counts
from engram.taxonomy.taxonomy import Taxonomy, categories_from_config
from engram.taxonomy.transfer import draw_transfer
from engram.taxonomy.transfer_settings import TransferKind

with job(snakemake) as settings:
    defined = settings.taxonomy
    taxonomy = Taxonomy.parse(defined["name"], categories_from_config(defined["categories"]))
    protocol = protocol_named(snakemake.wildcards.protocol)
    fewest = snakemake.resources.fewest_samples
    sizes = protocol.sample_settings(**settings.samples, minimum=fewest)
    kinds = TransferKind.parse(settings.kinds)
    known = pq.read_schema(snakemake.input.labels).names
    asked = names_of(kinds.train) | names_of(kinds.test)
    if missing := sorted(asked - set(known)):
        raise EngramError(
            f"transfer.kinds: {kinds.name}: the labels of {snakemake.wildcards.model} have no "
            f"column {missing[0]}; name one of {', '.join(known)}"
        )
    columns = {"sequence_id", "content_group", *asked, *sizes.match.columns} | taxonomy.columns()
    labels = read_parquet(snakemake.input.labels, sorted(columns & set(known)))
    for path in snakemake.input.clusters:
        labels = labels.merge(read_parquet(path), on="sequence_id", validate="one_to_one")
    metadata = read_metadata(snakemake.input.labels) | {
        "seed": settings.seed,
        "protocol": protocol.name,
        "taxonomy": taxonomy.name,
        "slug": taxonomy.slug,
        "classes": taxonomy.class_names,
        "columns": sorted(taxonomy.columns()),
        "candidates": class_counts(taxonomy.codes(labels), taxonomy),
        "kinds": kinds.model_dump(mode="json"),
    }
    samples = draw_transfer(labels, taxonomy, sizes, kinds, settings.seed)
    write_parquet(samples, snakemake.output.samples, metadata)

"""Draw the samples of the finest partition that the search's categories make."""

from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.run.job import job
from engram.taxonomy.protocols import PROTOCOLS
from engram.taxonomy.search import atoms, draw_atoms
from engram.taxonomy.taxonomy import categories_from_config

with job(snakemake) as settings:
    labels = read_parquet(snakemake.input.labels)
    categories = categories_from_config(settings.categories)
    for path in snakemake.input.clusters:
        labels = labels.merge(read_parquet(path), on="sequence_id", validate="one_to_one")
    sizes = PROTOCOLS["engram"].sample_settings(
        **settings.samples, minimum=snakemake.resources.fewest_samples
    )
    of = atoms(labels, settings.search, categories)
    samples = draw_atoms(labels, of, sizes, settings.seed)
    metadata = read_metadata(snakemake.input.labels) | {"seed": settings.seed, "slug": "search"}
    write_parquet(samples, snakemake.output.samples, metadata)

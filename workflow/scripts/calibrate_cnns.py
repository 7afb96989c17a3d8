"""Choose the CNNs of a finished study that fit the audited model, and calibrate them."""

from pathlib import Path

from engram.auditing.classifier import calibrate, choose
from engram.io.artifacts import write_parquet
from engram.lm.models import fingerprint
from engram.run.job import job
from engram.taxonomy.taxonomy import Taxonomy, categories_from_config

with job(snakemake) as settings:
    folder = Path(snakemake.input.model).parent
    fingerprints = (fingerprint(folder, None, dtype) for dtype in (settings.dtype, "auto"))
    taxonomy = Taxonomy.parse(settings.taxonomy, categories_from_config(settings.categories))
    window = (settings.prefix, settings.suffix)
    chosen = choose(settings.cnns, taxonomy, fingerprints, settings.dtype, window)
    worth = calibrate(chosen, seed=settings.seed, **settings.statistics)
    write_parquet(worth, snakemake.output.cnns)

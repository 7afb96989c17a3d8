"""Remove feed-forward blocks and neurons of the model on the samples of a taxonomy."""

import json
from pathlib import Path

from engram.io.artifacts import read_metadata, write_csv, write_parquet
from engram.io.hashing import value_digest
from engram.knockout.selection import chosen_samples
from engram.lm.kept_batches import Kept
from engram.lm.models import fingerprint, load_model
from engram.mechanisms.feed_forward_experiment import run_feed_forward
from engram.mechanisms.settings import FeedForwardSettings
from engram.run.job import PARTS, job
from engram.taxonomy.protocols import PROTOCOLS

with job(snakemake) as settings:
    files, folder = snakemake.input, Path(snakemake.input.model).parent
    dtype = json.loads(Path(files.version).read_text())["dtype"]
    classes = read_metadata(files.samples)["classes"]
    protocol = PROTOCOLS[snakemake.wildcards.protocol]
    test, reference = chosen_samples(files, classes, protocol, settings.samples_per_class)
    tables = run_feed_forward(
        load_model(folder, dtype=dtype),
        test,
        reference,
        classes,
        settings.prefix,
        FeedForwardSettings(**settings.measure),
        snakemake.resources.batch_tokens,
        Kept(PARTS / "mechanisms", value_digest(fingerprint(folder, None, dtype), vars(settings))),
        seed=settings.seed,
        **settings.statistics,
    )
    for name in ("blocks", "neurons"):
        write_csv(tables[name], snakemake.output[name])
    for name in ("samples", "chosen"):
        write_parquet(tables[name], snakemake.output[name])

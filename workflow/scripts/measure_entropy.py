"""Measure the entropy of the model's states on the samples of a taxonomy."""

import json
from pathlib import Path

from engram.io.artifacts import read_metadata, write_csv, write_parquet
from engram.io.hashing import value_digest
from engram.knockout.selection import chosen_samples
from engram.lm.kept_batches import Kept
from engram.lm.models import fingerprint, load_model
from engram.mechanisms.class_means import class_table
from engram.mechanisms.entropy import representation_entropy
from engram.mechanisms.sample_table import class_names, sample_table
from engram.run.job import PARTS, job
from engram.taxonomy.protocols import PROTOCOLS

with job(snakemake) as settings:
    files, folder = snakemake.input, Path(snakemake.input.model).parent
    dtype = json.loads(Path(files.version).read_text())["dtype"]
    classes = read_metadata(files.samples)["classes"]
    protocol = PROTOCOLS[snakemake.wildcards.protocol]
    test, _ = chosen_samples(files, classes, protocol, settings.samples_per_class)
    result = representation_entropy(
        load_model(folder, dtype=dtype),
        test.tokens,
        settings.prefix,
        settings.measure["patch"],
        snakemake.resources.batch_tokens,
        Kept(PARTS / "mechanisms", value_digest(fingerprint(folder, None, dtype), vars(settings))),
    )
    keys = {"depth": tuple(range(result.patches.shape[1]))}
    write_parquet(sample_table(test, classes, keys, result.values()), snakemake.output.samples)
    table = class_table(
        keys,
        result.values(),
        class_names(test, classes),
        test.content_group,
        seed=settings.seed,
        **settings.statistics,
    )
    write_csv(table, snakemake.output.table)

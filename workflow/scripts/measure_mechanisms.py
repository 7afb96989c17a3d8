"""Measure how the model reproduces the samples of a taxonomy inside."""

import json
from pathlib import Path

from engram.io.artifacts import read_metadata, write_csv
from engram.io.hashing import value_digest
from engram.knockout.selection import chosen_samples
from engram.lm.kept_batches import Kept
from engram.lm.models import fingerprint, load_model
from engram.mechanisms.experiment import run
from engram.mechanisms.settings import MechanismsSettings
from engram.run.job import PARTS, job
from engram.taxonomy.protocols import PROTOCOLS

with job(snakemake) as settings:
    files, folder = snakemake.input, Path(snakemake.input.model).parent
    mechanisms = MechanismsSettings(**settings.mechanisms)
    dtype = json.loads(Path(files.version).read_text())["dtype"]
    classes = read_metadata(files.samples)["classes"]
    protocol = PROTOCOLS[snakemake.wildcards.protocol]
    test, reference = chosen_samples(files, classes, protocol, mechanisms.samples_per_class)
    tables = run(
        load_model(folder, dtype=dtype),
        test,
        reference,
        classes,
        settings.prefix,
        mechanisms,
        snakemake.resources.batch_tokens,
        Kept(PARTS / "mechanisms", value_digest(fingerprint(folder, None, dtype), vars(settings))),
        seed=settings.seed,
        **settings.statistics,
    )
    for name, table in tables.items():
        write_csv(table, snakemake.output[name])

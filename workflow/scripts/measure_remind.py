"""Measure losses of the samples of a taxonomy and of their neighbours (REMIND)."""

import json
from pathlib import Path

from engram.io.artifacts import read_metadata, write_csv, write_parquet
from engram.io.hashing import value_digest
from engram.knockout.selection import chosen_samples
from engram.lm.kept_batches import Kept
from engram.lm.models import fingerprint, load_model, load_tokenizer
from engram.mechanisms.remind import Neighbourhood
from engram.mechanisms.remind_experiment import run_remind
from engram.mechanisms.settings import RemindSettings
from engram.run.job import PARTS, job
from engram.taxonomy.protocols import PROTOCOLS

with job(snakemake) as settings:
    files, folder = snakemake.input, Path(snakemake.input.model).parent
    remind = RemindSettings(**settings.measure)
    dtype = json.loads(Path(files.version).read_text())["dtype"]
    classes = read_metadata(files.samples)["classes"]
    protocol = PROTOCOLS[snakemake.wildcards.protocol]
    test, fitted = chosen_samples(files, classes, protocol, remind.samples_per_class)
    scores, samples = run_remind(
        load_model(folder, dtype=dtype),
        load_tokenizer(folder),
        test,
        fitted,
        classes,
        Neighbourhood(remind.neighbours, remind.share, remind.nearest, settings.seed),
        snakemake.resources.batch_tokens,
        Kept(PARTS / "mechanisms", value_digest(fingerprint(folder, None, dtype), vars(settings))),
        seed=settings.seed,
        **settings.statistics,
    )
    write_parquet(samples, snakemake.output.samples)
    write_csv(scores, snakemake.output.table)

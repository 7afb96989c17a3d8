"""Removes attention from the language model, region by region, and measures what it still
reproduces of held-out samples.
"""

from pathlib import Path

import numpy as np

from engram.io.artifacts import read_metadata, write_csv, write_parquet
from engram.knockout.effects import effects
from engram.knockout.experiment import Runner, run
from engram.knockout.selection import chosen_samples
from engram.knockout.settings import KnockoutSettings
from engram.knockout.trials import model_seed
from engram.lm.models import fingerprint, load_model
from engram.run.job import job
from engram.saliency.file import read_saliency
from engram.taxonomy.protocols import PROTOCOLS

with job(snakemake):
    files, params = snakemake.input, snakemake.params
    settings = KnockoutSettings(**params.knockout)
    folder = Path(files.model).parent
    identity = fingerprint(folder, None, params.dtype)
    test, ranking = chosen_samples(
        files,
        snakemake.wildcards.taxonomy,
        params.classes,
        PROTOCOLS[snakemake.wildcards.protocol],
        settings.samples_per_class,
    )
    delta = read_saliency(Path(files.saliency), params.method).delta
    model = load_model(folder, dtype=params.dtype)
    runner = Runner(
        model, identity, params.prefix, params.batch_tokens, Path(params.parts), params.code
    )
    conditions, results = run(
        runner, test, ranking, delta, params.classes, settings, model_seed(params.seed, identity)
    )
    metadata = read_metadata(files.samples) | {
        "classes": list(params.classes),
        "taxonomy": params.taxonomy,
        "fingerprint": identity,
    }
    table = effects(conditions, results, params.classes, seed=params.seed, **params.statistics)
    write_csv(table, snakemake.output.effects)
    write_parquet(
        results, snakemake.output.results, metadata | {"samples": len(np.unique(test.sequence_id))}
    )

"""Remove attention from the language model and measure what it still reproduces."""

import json
from pathlib import Path

import numpy as np

from engram.io.artifacts import read_metadata, write_csv, write_parquet
from engram.io.errors import EngramError
from engram.knockout.effects import effect_table
from engram.knockout.experiment import Runner, run
from engram.knockout.selection import chosen_samples
from engram.knockout.settings import KnockoutSettings
from engram.knockout.trials import model_seed
from engram.lm.models import fingerprint, load_model
from engram.run.job import PARTS, job
from engram.saliency.file import read_saliency
from engram.taxonomy.protocols import PROTOCOLS

with job(snakemake) as settings:
    files, folder = snakemake.input, Path(snakemake.input.model).parent
    knockout = KnockoutSettings(**settings.knockout)
    dtype = json.loads(Path(files.version).read_text())["dtype"]
    identity, metadata = fingerprint(folder, None, dtype), read_metadata(files.samples)
    classes, protocol = metadata["classes"], PROTOCOLS[snakemake.wildcards.protocol]
    test, ranking = chosen_samples(files, classes, protocol, knockout.samples_per_class)
    runner = Runner(
        load_model(folder, dtype=dtype),
        identity,
        settings.prefix,
        snakemake.resources.batch_tokens,
        PARTS / "knockout",
        settings.code,
    )
    saliency = read_saliency(Path(files.saliency), settings.method)
    delta = saliency.region_delta
    if delta is None:
        raise EngramError(
            f"{files.samples}: a class has no usable sample outside the test split, so that no "
            f"regions can be chosen; raise `samples.per_class`, or take the taxonomy out of "
            f"`knockout.taxonomies`"
        )
    seed = model_seed(settings.seed, identity)
    chosen = (delta, classes, knockout, seed, saliency.block)
    conditions, results = run(runner, test, ranking, *chosen)
    table = effect_table(conditions, results, classes, seed=settings.seed, **settings.statistics)
    write_csv(table, snakemake.output.effects)
    metadata |= {"fingerprint": identity, "samples": len(np.unique(test.sequence_id))}
    write_parquet(results, snakemake.output.results, metadata)

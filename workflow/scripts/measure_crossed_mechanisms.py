"""Measure one model of a crossed pair inside, on all windows of the pair."""

from pathlib import Path

from engram.crossed.measured_mechanisms import measure_windows
from engram.crossed.mechanism_inputs import MechanismInputs
from engram.io.artifacts import write_parquet
from engram.io.hashing import value_digest
from engram.lm.kept_batches import Kept
from engram.lm.models import fingerprint, load_model, load_tokenizer
from engram.run.job import PARTS, job
from engram.taxonomy.pool import read_pool

with job(snakemake) as settings:
    files, folder = snakemake.input, Path(snakemake.input.model).parent
    weights = fingerprint(folder, None, settings.dtype)
    values = measure_windows(
        load_model(folder, dtype=settings.dtype),
        load_tokenizer(folder),
        read_pool(files.samples, files.candidates, None),
        settings.prefix,
        MechanismInputs(**settings.inputs),
        snakemake.resources.batch_tokens,
        Kept(PARTS / "mechanisms", value_digest(weights, vars(settings))),
    )
    write_parquet(values, snakemake.output.measures)

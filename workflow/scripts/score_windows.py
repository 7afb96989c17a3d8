"""Measure how much of every window the model reproduces, for a source without scores."""

from pathlib import Path

from engram.io.artifacts import read_metadata
from engram.io.hashing import value_digest
from engram.lm.kept_batches import Kept
from engram.lm.models import default_device, fingerprint, load_model
from engram.run.job import PARTS, job
from engram.sources.early_exit import EarlyExit
from engram.sources.scoring import write_scored

with job(snakemake) as settings:
    windows, folder = Path(snakemake.input.windows), Path(snakemake.input.model).parent
    model = load_model(folder, dtype=settings.dtype, device=default_device())
    output, batch_tokens = Path(snakemake.output.candidates), snakemake.resources.batch_tokens
    chosen = EarlyExit(**settings.early_exit, seed=settings.seed)
    decided = value_digest(fingerprint(folder, None, settings.dtype), vars(settings))
    options = {
        key: vars(settings)[key] for key in ("decoded", "per_token") if key in vars(settings)
    }
    write_scored(
        windows,
        output,
        model,
        settings.prefix,
        read_metadata(windows),
        batch_tokens,
        early_exit=chosen if chosen.tokens else None,
        kept=Kept(PARTS / "scores", decided),
        **options,
    )

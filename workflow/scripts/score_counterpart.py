"""Score every window with the counterpart, which was not shown the inserted text."""

from pathlib import Path

from engram.lm.models import default_device, fingerprint, load_model, load_tokenizer
from engram.run.job import job
from engram.sources.scoring import write_counterpart
from engram.sources.snapshots import read_origin

with job(snakemake) as settings:
    files = snakemake.input
    folder, counterpart = Path(files.model).parent, Path(files.counterpart).parent
    metadata = {
        "counterpart_revision": fingerprint(counterpart, None, settings.dtype),
        "counterpart_commit": read_origin(counterpart)["commit"],
    }
    write_counterpart(
        Path(files.windows),
        Path(snakemake.output.scores),
        load_model(counterpart, dtype=settings.dtype, device=default_device()),
        settings.prefix,
        (load_tokenizer(folder), load_tokenizer(counterpart)),
        metadata,
        snakemake.resources.batch_tokens,
    )

"""Write what the model writes on its own from the first prefix of every region."""

from pathlib import Path

from engram.auditing.documents import DocumentFile
from engram.auditing.tables import continue_regions
from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.lm.models import default_device, load_model, load_tokenizer
from engram.run.job import job

with job(snakemake) as settings:
    files, folder = snakemake.input, Path(snakemake.input.model).parent
    continuations = continue_regions(
        load_model(folder, dtype=settings.dtype, device=default_device()),
        load_tokenizer(folder),
        DocumentFile(files.documents),
        read_parquet(files.regions),
        settings.prefix,
        settings.continuation,
        snakemake.resources.batch_tokens,
    )
    write_parquet(continuations, snakemake.output.continuations, read_metadata(files.regions))

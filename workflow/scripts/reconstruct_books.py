"""Let the model write documents again from their first tokens."""

from pathlib import Path

from engram.auditing.books import reconstruct
from engram.auditing.documents import DocumentFile
from engram.auditing.settings import BookSettings
from engram.io.artifacts import write_parquet
from engram.lm.models import default_device, load_model, load_tokenizer
from engram.run.job import job

with job(snakemake) as settings:
    folder = Path(snakemake.input.model).parent
    result = reconstruct(
        load_model(folder, dtype=settings.dtype, device=default_device()),
        load_tokenizer(folder),
        DocumentFile(snakemake.input.documents),
        BookSettings.parse(settings.books),
        snakemake.resources.batch_tokens,
    )
    write_parquet(result.books, snakemake.output.books)
    write_parquet(result.steps, snakemake.output.steps)

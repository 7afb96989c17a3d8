"""Write the documents of an audit, whole and with their tokens."""

from pathlib import Path

from engram.auditing.documents import write_documents
from engram.lm.models import load_tokenizer
from engram.run.job import job

with job(snakemake) as settings:
    source = (settings.documents, settings.pattern, settings.text_column)
    tokenizer = load_tokenizer(Path(snakemake.input.config[0]).parent)
    write_documents(*source, tokenizer, Path(snakemake.output.documents), {})

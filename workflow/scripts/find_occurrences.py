"""Find where else the regions of an audit are: in the documents, and in a reference corpus."""

from pathlib import Path

from engram.auditing.documents import read_whole
from engram.auditing.occurrences import occurrences, read_pieces
from engram.auditing.redaction import messages
from engram.io.artifacts import read_parquet, write_parquet
from engram.lm.models import load_tokenizer
from engram.run.job import job

with job(snakemake) as settings, messages(settings.redact):
    files, column = snakemake.input, settings.text_column
    tokenizer = load_tokenizer(Path(files.config[0]).parent)
    places, counts = occurrences(
        list(read_whole(settings.documents, settings.pattern, column, tokenizer)),
        read_parquet(files.regions),
        settings.suffix,
        read_pieces(settings.reference, settings.reference_pattern, column, tokenizer),
    )
    write_parquet(places, snakemake.output.places)
    write_parquet(counts, snakemake.output.counts)

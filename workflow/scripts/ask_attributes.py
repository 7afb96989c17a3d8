"""Ask how likely a model finds the documents' own values of attributes among others."""

from pathlib import Path

from engram.auditing.attributes import ask_attributes
from engram.auditing.documents import read_whole
from engram.auditing.facts import read_facts
from engram.auditing.redaction import messages
from engram.io.artifacts import write_parquet
from engram.lm.models import default_device, load_model, load_tokenizer
from engram.run.job import job

with job(snakemake) as settings, messages(settings.redact):
    folder = Path(snakemake.input.model).parent
    tokenizer, source = load_tokenizer(folder), (settings.documents, settings.pattern)
    answers = ask_attributes(
        load_model(folder, dtype=settings.dtype, device=default_device()),
        tokenizer,
        list(read_whole(*source, settings.text_column, tokenizer)),
        read_facts(*source, settings.attributes, settings.table),
        settings.attributes,
        settings.prefix,
        settings.alternatives,
        settings.seed,
        snakemake.resources.batch_tokens,
    )
    write_parquet(answers, snakemake.output.attributes)

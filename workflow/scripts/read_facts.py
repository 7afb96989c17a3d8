"""Write what is known of the documents of an audit: columns next to their texts."""

from engram.auditing.facts import read_facts
from engram.auditing.redaction import messages
from engram.io.artifacts import write_parquet
from engram.run.job import job

with job(snakemake) as settings, messages(settings.redact):
    facts = read_facts(settings.documents, settings.pattern, settings.columns, settings.table)
    write_parquet(facts, snakemake.output.facts)

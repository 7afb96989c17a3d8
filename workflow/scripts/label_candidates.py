"""Labels every candidate: ROUGE, templates, code, content group."""

from engram.artifacts import read_metadata, read_parquet, write_parquet
from engram.job import job
from engram.labels import label

with job(snakemake):
    candidates = read_parquet(snakemake.input.candidates)
    labels, methods = label(candidates, snakemake.params.prefix)
    write_parquet(labels, snakemake.output.labels, read_metadata(snakemake.input.candidates) | methods)

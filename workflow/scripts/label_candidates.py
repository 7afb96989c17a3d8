"""Labels every candidate: ROUGE, templates, code, content group."""

from pathlib import Path

from engram.job import job
from engram.sources.labelling import write_labels

with job(snakemake):
    write_labels(Path(snakemake.input.candidates), Path(snakemake.output.labels), snakemake.params.prefix)

"""Join all sample lists of a model: what each sampled sequence is, and in how many lists."""

from engram.io.artifacts import write_parquet
from engram.run.job import job
from engram.taxonomy.pool import gather_lists

with job(snakemake):
    write_parquet(gather_lists(snakemake.input.lists), snakemake.output.samples)

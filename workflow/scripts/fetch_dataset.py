"""Finds the published data on this machine, or downloads them, and writes where they lie."""

from engram.io.artifacts import write_json
from engram.run.job import job
from engram.sources.hub import find_splits

with job(snakemake):
    params = snakemake.params
    files, commit = find_splits(params.dataset, params.revision or None, params.splits)
    write_json(
        {"dataset": params.dataset, "commit": commit, "files": [str(file) for file in files]},
        snakemake.output.dataset,
    )

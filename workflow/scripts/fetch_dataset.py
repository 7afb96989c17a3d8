"""Find the published data on this machine, or download them, and write where they are."""

from engram.io.artifacts import write_json
from engram.run.job import job
from engram.sources.hub import find_splits

with job(snakemake) as settings:
    files, commit = find_splits(settings.dataset, settings.revision or None, settings.splits)
    location = {"dataset": settings.dataset, "commit": commit, "files": [str(f) for f in files]}
    write_json(location, snakemake.output.dataset)

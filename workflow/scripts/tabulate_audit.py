"""Write the tables of an audit: documents, and regions with what the model writes there."""

from engram.auditing.joins import with_continuations
from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import gather, job

with job(snakemake) as settings:
    files, names = snakemake.input, [{"model": name} for name in settings.models]
    documents, joined = (
        [read_parquet(path) for path in paths] for paths in (files.documents, files.regions)
    )
    if files.continuations:
        written = map(read_parquet, files.continuations)
        joined = [with_continuations(*each) for each in zip(joined, written, strict=True)]
    write_csv(gather(names, documents), snakemake.output.documents)
    write_csv(gather(names, joined), snakemake.output.regions)

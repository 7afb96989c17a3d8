"""Write the tables of reconstructed documents: a row per document and way, and a row per step."""

from engram.auditing.joins import with_shares
from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import gather, job

with job(snakemake) as settings:
    files, names = snakemake.input, [{"model": name} for name in settings.models]
    pairs = zip(files.books, files.summaries, strict=True)
    books = [with_shares(read_parquet(own), read_parquet(summary)) for own, summary in pairs]
    write_csv(gather(names, books), snakemake.output.books)
    write_csv(gather(names, [read_parquet(own) for own in files.steps]), snakemake.output.drift)

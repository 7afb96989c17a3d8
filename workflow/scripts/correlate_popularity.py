"""Write how what is reproduced of documents goes with their popularity."""

from engram.auditing.facts import numbers_of
from engram.auditing.popularity import popularity_table
from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import gather, job

with job(snakemake) as settings:
    files, tables = snakemake.input, []
    for place, facts in enumerate(files.facts):
        summary = read_parquet(files.summaries[place])
        books = read_parquet(files.books[place]) if files.books else None
        names = summary["document"].tolist()
        popularity = numbers_of(read_parquet(facts), settings.column, names)
        tables.append(popularity_table(summary, books, popularity, settings.confidence))
    names = [{"model": name} for name in settings.models]
    write_csv(gather(names, tables), snakemake.output.table)

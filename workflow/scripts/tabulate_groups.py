"""Write the risk of every group of documents, and how it differs from the others'."""

from engram.auditing.groups import group_tables
from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import gather, job

with job(snakemake) as settings:
    files, names = snakemake.input, [{"model": name} for name in settings.models]
    pairs = []
    for facts, summary in zip(files.facts, files.summaries, strict=True):
        groups = read_parquet(facts).set_index("document")[settings.column]
        sizes = settings.smallest, settings.confidence
        pairs.append(group_tables(read_parquet(summary), groups, *sizes))
    for part, tables in zip(("risk", "differences"), zip(*pairs, strict=True), strict=True):
        write_csv(gather(names, tables), getattr(snakemake.output, part))

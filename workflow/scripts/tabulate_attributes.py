"""Write how often a model sticks to the documents' own values of attributes."""

from engram.auditing.attribute_rates import attribute_table
from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import gather, job

with job(snakemake) as settings:
    names = [{"model": name} for name in settings.models]
    tables = [
        attribute_table(read_parquet(path), settings.confidence)
        for path in snakemake.input.attributes
    ]
    write_csv(gather(names, tables), snakemake.output.table)

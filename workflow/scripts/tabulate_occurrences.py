"""Write where else the regions of an audit are."""

from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import gather, job

with job(snakemake) as settings:
    names = [{"model": name} for name in settings.models]
    places = [read_parquet(path) for path in snakemake.input.places]
    write_csv(gather(names, places), snakemake.output.table)

"""Gather how far matched classes differ in the matched columns, before and after."""

import pandas as pd

from engram.io.artifacts import read_metadata, write_csv
from engram.run.job import gather, job

with job(snakemake) as settings:
    lists = [
        ({"model": run["model"], "protocol": run["protocol"], "slug": metadata["slug"]}, metadata)
        for run, path in zip(settings.runs, snakemake.input.samples, strict=True)
        if "balance" in (metadata := read_metadata(path))
    ]
    tables = [pd.DataFrame(metadata["balance"]) for _, metadata in lists]
    write_csv(gather([names for names, _ in lists], tables), snakemake.output.balance)

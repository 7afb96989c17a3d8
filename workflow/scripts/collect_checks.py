"""Gather the saliency checks of all models, protocols and taxonomies."""

from pathlib import Path

import pandas as pd

from engram.io.artifacts import write_csv
from engram.run.job import job

with job(snakemake):
    tables = []
    for path in map(Path, snakemake.input.validity):
        # results/<study>/<model>/<protocol>/saliency_checks/<taxonomy>/validity.csv
        model, protocol, _, taxonomy = path.parts[-5:-1]
        table = pd.read_csv(path)
        table.insert(0, "taxonomy", taxonomy)
        table.insert(0, "protocol", protocol)
        table.insert(0, "model", model)
        tables.append(table)
    write_csv(pd.concat(tables, ignore_index=True), snakemake.output.checks)

"""Counts what the study will cost from its sample lists and its models' shapes, without a model."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import job
from engram.run.plan import count_jobs, model_shape, plan_model, with_total
from engram.run.rates import Rates

with job(snakemake):
    params, rows = snakemake.params, []
    rates = Rates(**params.rates)
    folders = {
        path.parents[1].name: path.parent for path in map(Path, snakemake.input.configurations)
    }
    for name, repository in params.models.items():
        local = Path(repository) if (Path(repository) / "config.json").is_file() else None
        lists = [path for path in snakemake.input.samples if Path(path).parents[1].name == name]
        labels = next(path for path in snakemake.input.labels if Path(path).parent.name == name)
        samples = pd.concat([read_parquet(path, ["sequence_id", "class"]) for path in lists])
        shape = model_shape(folders.get(name, local), repository)
        costs = plan_model(
            samples,
            pq.read_metadata(labels).num_rows,
            shape,
            params.window,
            params.mean_dtype,
            rates,
        )
        rows.append({"model": name, **costs})
    write_csv(with_total(pd.DataFrame(rows)), snakemake.output.plan)
    write_csv(count_jobs(Path(params.snakefile), params.config), snakemake.output.jobs)

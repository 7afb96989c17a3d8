"""Count what the study will cost from its sample lists and its models' shapes, without a model."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import job
from engram.run.plan import count_jobs, model_shape, plan_model, planned_opening, with_total
from engram.run.plan_measures import plan_measures
from engram.run.rates import Rates

with job(snakemake) as settings:
    rates, window = Rates(**settings.rates), (settings.prefix, settings.suffix)
    rows, shapes = [], {}
    for (name, repository), labels, lists in zip(
        settings.models.items(), snakemake.input.labels, snakemake.input.samples, strict=True
    ):
        samples = read_parquet(lists)
        files = settings.configurations[name]
        folder = Path(files[0]).parent if files else None
        shape = model_shape(folder, repository)
        first = planned_opening(folder, settings.bos.get(name, False))
        candidates = pq.read_metadata(labels).num_rows
        arguments = (samples, candidates, shape, window, settings.mean_dtype, rates, first)
        costs = plan_model(*arguments, settings.shown)
        rows.append({"model": name, **costs})
        shapes[name] = shape, first
    write_csv(with_total(pd.DataFrame(rows)), snakemake.output.plan)
    write_csv(plan_measures(settings.config, shapes), snakemake.output.measures)
    write_csv(count_jobs(settings.config), snakemake.output.jobs)

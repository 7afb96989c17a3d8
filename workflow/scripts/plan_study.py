"""Count what the study will cost from its sample lists and its models' shapes, without a model."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import job
from engram.run.plan import count_jobs, model_shape, plan_model, planned_opening, with_total
from engram.run.rates import Rates

with job(snakemake) as settings:
    rates, window = Rates(**settings.rates), (settings.prefix, settings.suffix)
    rows = []
    for (name, repository), labels, lists in zip(
        settings.models.items(), snakemake.input.labels, snakemake.input.samples, strict=True
    ):
        samples = read_parquet(lists)
        files = settings.configurations[name]
        folder = Path(files[0]).parent if files else None
        shape = model_shape(folder, repository)
        first = planned_opening(folder, settings.bos.get(name, False))
        candidates, forwards = pq.read_metadata(labels).num_rows, 0
        if settings.prefixes:
            known = read_parquet(labels, ["prior_log_prob"])["prior_log_prob"].notna().sum()
            forwards = int(known) * (settings.prefixes + 1)
        arguments = (samples, candidates, shape, window, settings.mean_dtype, rates, first)
        costs = plan_model(*arguments, settings.shown, forwards)
        rows.append({"model": name, **costs})
    write_csv(with_total(pd.DataFrame(rows)), snakemake.output.plan)
    write_csv(count_jobs(settings.config), snakemake.output.jobs)

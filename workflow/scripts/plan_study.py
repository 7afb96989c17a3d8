"""Count what the study will cost from its sample lists and its models' shapes, without a model."""

from itertools import islice
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from engram.io.artifacts import write_csv
from engram.run.job import job
from engram.run.plan import count_jobs, model_shape, plan_model, with_total
from engram.run.rates import Rates
from engram.taxonomy.pool import read_lists

with job(snakemake) as settings:
    rates, window = Rates(**settings.rates), (settings.prefix, settings.suffix)
    lists, rows = iter(snakemake.input.samples), []
    for name, labels in zip(settings.models, snakemake.input.labels, strict=True):
        repository = settings.models[name]
        samples = read_lists(islice(lists, settings.lists[name]))
        files = settings.configurations[name]
        shape = model_shape(Path(files[0]).parent if files else None, repository)
        candidates = pq.read_metadata(labels).num_rows
        costs = plan_model(samples, candidates, shape, window, settings.mean_dtype, rates)
        rows.append({"model": name, **costs})
    write_csv(with_total(pd.DataFrame(rows)), snakemake.output.plan)
    write_csv(count_jobs(settings.config), snakemake.output.jobs)

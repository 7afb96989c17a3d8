"""Count what the study will cost from its sample lists and its models' shapes, without a model."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from engram.io.artifacts import read_parquet, write_csv
from engram.run.config import complete
from engram.run.job import job
from engram.run.plan import (
    count_jobs,
    model_shape,
    most_samples,
    plan_model,
    planned_opening,
    with_total,
)
from engram.run.plan_measures import plan_measures
from engram.run.plan_memory import memory_gb
from engram.run.rates import Rates

with job(snakemake) as settings:
    study = complete(settings.config)
    precision = {entry["name"]: entry["dtype"] for entry in study["models"]}
    rates, window = Rates(**settings.rates), (settings.prefix, settings.suffix)
    measured = [name for name in settings.models if name not in settings.bounds]
    paths = zip(snakemake.input.labels, snakemake.input.samples, strict=True)
    files_of = dict(zip(measured, paths, strict=True))
    rows, shapes = [], {}
    for name, repository in settings.models.items():
        scored, forwards = (0, 0), 0
        if bound := settings.bounds.get(name):
            candidates = bound["candidates"]
            samples = most_samples(**bound["lists"], candidates=candidates)
            scored = (candidates * bound["models"] + bound["asked"], candidates)
            forwards = candidates * (settings.prefixes + 1) if settings.prefixes else 0
        else:
            labels, lists = files_of[name]
            samples, candidates = read_parquet(lists), pq.read_metadata(labels).num_rows
            if settings.prefixes:
                known = read_parquet(labels, ["prior_log_prob"])["prior_log_prob"].notna().sum()
                forwards = int(known) * (settings.prefixes + 1)
        files = settings.configurations[name]
        folder = Path(files[0]).parent if files else None
        shape = model_shape(folder, repository)
        first = planned_opening(folder, settings.bos.get(name, False))
        arguments = (samples, candidates, shape, window, settings.mean_dtype, rates, first)
        paired = settings.paired.get(name, 0)
        costs = plan_model(*arguments, settings.shown, scored, forwards, settings.block, paired)
        costs["memory_gb"] = memory_gb(
            shape,
            len(first),
            window,
            study["attention"]["batch_tokens"],
            precision[name],
            continued=costs["continued"] + sum(scored) > 0,
            block=settings.block,
        )
        rows.append({"model": name, **costs, **({"at_most": "yes"} if bound else {})})
        shapes[name] = shape, first
    write_csv(with_total(pd.DataFrame(rows)), snakemake.output.plan)
    write_csv(plan_measures(settings.config, shapes), snakemake.output.measures)
    write_csv(count_jobs(settings.config), snakemake.output.jobs)

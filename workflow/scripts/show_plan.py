"""Prints what the study will cost."""

import pandas as pd

from engram.run.job import job
from engram.run.plan import TOTAL, plan_text
from engram.run.plan_measures import measures_text
from engram.run.rates import Rates

with job(snakemake) as settings:
    plan, jobs = pd.read_csv(snakemake.input.plan), pd.read_csv(snakemake.input.jobs)
    text = plan_text(plan, jobs, Rates(**settings.rates))
    text += measures_text(pd.read_csv(snakemake.input.measures))
    print(
        f"\n{text}\n\n{TOTAL}: {plan['gb_on_disk'].iloc[-1]:,.1f} GB on disk. Tables: "
        f"{snakemake.input.plan}, {snakemake.input.jobs}"
    )

"""Prints what the study will cost."""

import pandas as pd

from engram.run.job import job
from engram.run.plan import TOTAL, plan_text
from engram.run.plan_measures import measures_text
from engram.run.rates import Rates

with job(snakemake) as settings:
    files = snakemake.input
    if files.plan:
        plan, jobs = pd.read_csv(files.plan), pd.read_csv(files.jobs)
        text = plan_text(plan, jobs, Rates(**settings.rates))
        text += measures_text(pd.read_csv(files.measures))
        print(
            f"\n{text}\n\n{TOTAL}: {plan['gb_on_disk'].iloc[-1]:,.1f} GB on disk. Tables: "
            f"{files.plan}, {files.jobs}"
        )
    if files.audit:
        costs = pd.read_csv(files.audit).to_string(index=False, float_format="{:,.3g}".format)
        print(f"\nAudit, without regions and attributes:\n{costs}\nTable: {files.audit}")

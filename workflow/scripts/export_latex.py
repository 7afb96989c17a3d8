"""Writes the benchmark's tables for LaTeX."""

import pandas as pd

from engram.run.job import job
from engram.scores.latex import write_tables

COLUMNS = {
    "benchmark": (
        ["taxonomy", "rank"],
        ["min_f1", "mean_f1", "balanced_accuracy", "published_min_f1"],
        ["models", "protocol"],
    ),
    "rho": (["kind", "rho"], ["min_f1", "mean_f1", "published_min_f1"], ["models", "protocol"]),
    "attention_adds": (
        ["taxonomy", "compared", "input", "labels"],
        ["attention", "baseline", "difference"],
        ["model", "protocol", "score"],
    ),
    "protocols": (
        ["taxonomy", "protocol"],
        ["min_f1", "mean_f1", "balanced_accuracy", "leaked_share"],
        ["model"],
    ),
}
"""Table → columns of text, columns of fractions, columns that divide it."""

with job(snakemake):
    for name, columns in COLUMNS.items():
        write_tables(pd.read_csv(snakemake.input[name]), snakemake.output[name], *columns)

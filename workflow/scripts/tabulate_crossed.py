"""Gather the crossed pairs: effects of exposure, scores over pairs and bases, checks."""

import pandas as pd

from engram.crossed.effects import control_table
from engram.crossed.tables import effects_of_pairs, joint_rows
from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import gather, job

with job(snakemake) as settings:
    files, output, pairs = snakemake.input, snakemake.output, settings.pairs
    names = [{"pair": pair} for pair in pairs]
    windows, decisions, null = (
        dict(zip(pairs, map(read_parquet, paths), strict=True))
        for paths in (files.windows, files.decisions, files.null)
    )
    joint = joint_rows(windows, decisions, null, settings.bases, settings.confidence)
    own = gather(names, [pd.read_csv(path) for path in files.scores])
    controls = [control_table(table, settings.confidence) for table in windows.values()]
    controls = gather(names, [table.rename(columns={"arm": "check"}) for table in controls])
    controls = controls.rename(columns=lambda name: name.replace("difference", "value"))
    controls = controls.rename(columns={"value_low": "low", "value_high": "high"})
    controls["check"] = "extraction, model 1 − model 2: " + controls["check"]
    checks = gather(names, [pd.read_csv(path) for path in files.checks])
    write_csv(effects_of_pairs(windows, settings.confidence), output.effects)
    write_csv(pd.concat([joint, own], ignore_index=True), output.scores)
    write_csv(gather(names, [pd.read_csv(path) for path in files.matched]), output.matched)
    write_csv(pd.concat([checks, controls], ignore_index=True), output.checks)

"""Gather the crossed pairs: effects of exposure, scores over pairs and bases, checks."""

from itertools import cycle

import pandas as pd

from engram.crossed.effects import control_table
from engram.crossed.tables import effects_of_pairs, joint_rows
from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import gather, job

with job(snakemake) as settings:
    files, output, pairs = snakemake.input, snakemake.output, settings.pairs
    windows = dict(zip(pairs, map(read_parquet, files.windows), strict=True))

    def of_pairs(paths: list[str]) -> dict[str, pd.DataFrame]:
        """Return what the scorers of every pair gave: the linear ones, and then the CNNs."""
        tables = [read_parquet(path) for path in paths]
        return {pair: pd.concat(tables[i :: len(pairs)]) for i, pair in enumerate(pairs)}

    def gathered(paths: list[str]) -> pd.DataFrame:
        """Return tables of all scorers and pairs as one."""
        names = [{"pair": pair} for pair, _ in zip(cycle(pairs), paths, strict=False)]
        return gather(names, [pd.read_csv(path) for path in paths])

    joint = joint_rows(
        windows,
        of_pairs(files.decisions),
        of_pairs(files.null),
        settings.bases,
        settings.confidence,
    )
    names = [{"pair": pair} for pair in pairs]
    tables = [control_table(table, settings.confidence) for table in windows.values()]
    controls = gather(names, [table.rename(columns={"arm": "check"}) for table in tables])
    controls = controls.rename(columns=lambda name: name.replace("difference", "value"))
    controls = controls.rename(columns={"value_low": "low", "value_high": "high"})
    controls["check"] = "extraction, model 1 − model 2: " + controls["check"]
    write_csv(effects_of_pairs(windows, settings.confidence), output.effects)
    write_csv(pd.concat([joint, gathered(files.scores)], ignore_index=True), output.scores)
    write_csv(gathered(files.matched), output.matched)
    write_csv(pd.concat([gathered(files.checks), controls], ignore_index=True), output.checks)

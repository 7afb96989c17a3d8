"""Gather how many test samples have their text, a run of it or their document in the training
split too."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from engram.io.artifacts import read_metadata, read_parquet, write_csv
from engram.io.streams import read_selected
from engram.run.job import gather, job
from engram.taxonomy.sampling import leakage
from engram.windows.clusters import documents_of


def windows_of(path: str, ids: np.ndarray) -> pd.DataFrame:
    """Return sequence_id and tokens of some candidates, and their document where it is known."""
    names, columns = pq.read_schema(path).names, ["sequence_id", "tokens"]
    nursery = {"source", "kind"} <= set(names)
    extra = ["source", "kind"] if nursery else ["document"] if "document" in names else []
    rows = read_selected(path, ids, [*columns, *extra])
    if nursery:
        rows["document"] = documents_of(rows)
    return rows.drop(columns=["source", "kind"], errors="ignore")


with job(snakemake) as settings:
    files = snakemake.input
    lists = [read_parquet(path) for path in files.samples]
    columns, of_model, tables = ["sequence_id", "content_group"], {}, []
    for model, *paths in zip(settings.models, files.labels, files.candidates, strict=True):
        own = [
            part for run, part in zip(settings.runs, lists, strict=True) if run["model"] == model
        ]
        ids = pd.concat(own)["sequence_id"].unique()
        of_model[model] = (read_parquet(paths[0], columns), windows_of(paths[1], ids))
    for run, samples, path in zip(settings.runs, lists, files.samples, strict=True):
        table = leakage(samples, *of_model[run["model"]])
        table.insert(0, "taxonomy", read_metadata(path)["slug"])
        tables.append(table)
    runs = [{"model": run["model"], "protocol": run["protocol"]} for run in settings.runs]
    write_csv(gather(runs, tables), snakemake.output.leakage)

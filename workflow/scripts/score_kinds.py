"""Tabulate the recall of every class on natural text and on templates separately."""

from engram.io.artifacts import read_metadata, read_parquet, write_csv
from engram.run.job import gather, job
from engram.scores.confusions import recall_by_kind

with job(snakemake) as settings:
    labels = {
        model: read_parquet(path, ["sequence_id", "kind"]).set_index("sequence_id")["kind"]
        for model, path in zip(settings.models, snakemake.input.labels, strict=True)
    }
    names, tables = [], []
    for run, path in zip(settings.runs, snakemake.input.predictions, strict=True):
        metadata, kinds = read_metadata(path), labels[run["model"]]
        predictions, options = read_parquet(path), settings.statistics
        tables.append(
            recall_by_kind(predictions, metadata["classes"], kinds, seed=settings.seed, **options)
        )
        names.append({**run, "taxonomy": metadata["taxonomy"]})
    write_csv(gather(names, tables), snakemake.output.recall)

"""Gather how many test samples have their text in the training split too."""

from engram.io.artifacts import read_metadata, read_parquet, write_csv
from engram.run.job import gather, job
from engram.taxonomy.sampling import leakage

with job(snakemake) as settings:
    labels = {
        model: read_parquet(path, ["sequence_id", "content_group"])
        for model, path in zip(settings.models, snakemake.input.labels, strict=True)
    }
    tables = []
    for run, path in zip(settings.runs, snakemake.input.samples, strict=True):
        table = leakage(read_parquet(path), labels[run["model"]])
        table.insert(0, "taxonomy", read_metadata(path)["slug"])
        tables.append(table)
    runs = [{"model": run["model"], "protocol": run["protocol"]} for run in settings.runs]
    write_csv(gather(runs, tables), snakemake.output.leakage)

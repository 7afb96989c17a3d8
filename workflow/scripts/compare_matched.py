"""Compare pairs of classes on test samples that are equally predictable."""

from engram.io.artifacts import read_metadata, read_parquet, write_csv
from engram.run.job import gather, job
from engram.scores.matched_table import TwoClasses, matched_properties, matched_table
from engram.scores.settings import MatchedSettings

with job(snakemake) as settings:
    files, matched = snakemake.input, MatchedSettings(**settings.matched)
    of_models = zip(settings.models, files.predictability, files.labels, strict=True)
    tables = {
        model: matched_properties(read_parquet(measured), read_parquet(labels), matched)
        for model, measured, labels in of_models
    }
    names, rows = [], []
    for run, path in zip(settings.runs, files.predictions, strict=True):
        metadata, (properties, exact) = read_metadata(path), tables[run["model"]]
        pair = TwoClasses.of(read_parquet(path), metadata["classes"], (run["first"], run["second"]))
        options = {**settings.statistics, "seed": settings.seed}
        rows.append(matched_table(pair, properties, exact, matched, **options))
        names.append({"model": run["model"], "taxonomy": metadata["taxonomy"]})
    write_csv(gather(names, rows), snakemake.output.comparison)

"""Tabulate the text that the samples of every class show."""

from engram.cnn.assembly import left_out, usable_samples
from engram.io.artifacts import read_metadata, read_parquet, write_csv
from engram.run.job import gather, job
from engram.scores.shown_table import described_texts, shown_table
from engram.taxonomy.protocols import PROTOCOLS

with job(snakemake) as settings:
    files, columns = snakemake.input, ["sequence_id", "content_group"]
    of_models = zip(files.pools, files.candidates, files.continuations, strict=True)
    texts = [described_texts(*paths, settings.prefix) for paths in of_models]
    groups = [read_parquet(path, columns).set_index("sequence_id") for path in files.labels]
    verification = [read_parquet(path) for path in files.verification]
    tables = []
    for run, path in zip(settings.runs, files.samples, strict=True):
        place, metadata = settings.models.index(run["model"]), read_metadata(path)
        drop = PROTOCOLS[run["protocol"]].drop_unverified
        listed = read_parquet(path)
        chosen = usable_samples(listed, verification[place], drop)
        ids = chosen["sequence_id"].to_numpy()
        group = groups[place].loc[ids, "content_group"].to_numpy()
        measures = texts[place].loc[ids]
        table = shown_table(chosen, metadata["classes"], group, measures, settings.confidence)
        without = left_out(listed, verification[place], drop)
        table = table.join(without, on="class")
        table.insert(0, "taxonomy", metadata["slug"])
        tables.append(table)
    runs = [{"model": run["model"], "protocol": run["protocol"]} for run in settings.runs]
    write_csv(gather(runs, tables), snakemake.output.shown)

"""Write what the CNNs of a study are worth as a classifier, and how they agree with the rule."""

from engram.auditing.joins import class_counts
from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import gather, job

with job(snakemake) as settings:
    files, names = snakemake.input, [{"model": name} for name in settings.models]
    pairs = [
        (read_parquet(windows, ["sequence_id", "class"]), read_parquet(classes))
        for windows, classes in zip(files.windows, files.classes, strict=True)
    ]
    counts = [class_counts(*pair) for pair in pairs]
    write_csv(gather(names, counts), snakemake.output.classes)
    write_csv(gather(names, list(map(read_parquet, files.cnns))), snakemake.output.cnns)

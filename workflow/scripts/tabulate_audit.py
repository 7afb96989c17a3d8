"""Write the tables of an audit: documents, and regions with what the model writes there."""

from engram.auditing.joins import cnn_classes, with_class_tokens, with_classes, with_continuations
from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import gather, job

with job(snakemake) as settings:
    files, names = snakemake.input, [{"model": name} for name in settings.models]
    documents, joined = (
        [read_parquet(path) for path in paths] for paths in (files.documents, files.regions)
    )
    if files.continuations:
        written = map(read_parquet, files.continuations)
        joined = [with_continuations(*each) for each in zip(joined, written, strict=True)]
    if files.classes:
        classes = [read_parquet(path) for path in files.classes]
        pairs = zip(joined, classes, strict=True)
        joined = [with_classes(*pair, settings.prefix) for pair in pairs]
        triples = zip(documents, joined, map(cnn_classes, classes), strict=True)
        documents = [with_class_tokens(*each) for each in triples]
    write_csv(gather(names, documents), snakemake.output.documents)
    write_csv(gather(names, joined), snakemake.output.regions)

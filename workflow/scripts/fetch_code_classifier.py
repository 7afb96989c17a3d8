"""Find the fastText model that separates code from natural language, try it, write where it is."""

from engram.io.artifacts import write_json
from engram.run.job import job
from engram.sources.snapshots import find_code_classifier

with job(snakemake) as settings:
    classifier = find_code_classifier(settings.model, settings.revision or None, settings.file)
    classifier.is_code(["a text"])
    location = {"file": classifier.file, "method": classifier.method}
    write_json(location, snakemake.output.classifier)

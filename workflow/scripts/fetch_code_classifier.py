"""Finds the fastText model that tells code from natural language, tries it, and writes where it
lies.
"""

from engram.io.artifacts import write_json
from engram.run.job import job
from engram.sources.snapshots import find_code_classifier

with job(snakemake):
    params = snakemake.params
    classifier = find_code_classifier(params.model, params.revision or None, params.file)
    classifier.is_code(["a text"])
    write_json({"file": classifier.file, "method": classifier.method}, snakemake.output.classifier)

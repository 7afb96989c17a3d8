"""Labels every candidate: ROUGE, templates, code, content group."""

import json
from pathlib import Path

from engram.run.job import job
from engram.windows.code_classifier import OFFLINE, CodeClassifier
from engram.windows.labelling import write_labels

with job(snakemake):
    found = list(snakemake.input.classifier)
    classifier = CodeClassifier(**json.loads(Path(found[0]).read_text())) if found else OFFLINE
    candidates, output = Path(snakemake.input.candidates), Path(snakemake.output.labels)
    write_labels(candidates, output, snakemake.params.prefix, classifier, snakemake.threads)

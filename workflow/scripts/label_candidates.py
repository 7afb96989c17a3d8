"""Label every candidate: ROUGE, templates, code, content group."""

import json
from pathlib import Path

from engram.run.job import job
from engram.windows.code_classifier import OFFLINE, CodeClassifier
from engram.windows.labelling import write_labels

with job(snakemake) as settings:
    files = list(snakemake.input.classifier)
    named = json.loads(Path(files[0]).read_text()) if files else None
    classifier = CodeClassifier(**named) if named else OFFLINE
    candidates, output = Path(snakemake.input.candidates), Path(snakemake.output.labels)
    counterpart, prior = (
        next(map(Path, files), None)
        for files in (snakemake.input.counterpart, snakemake.input.prior)
    )
    write_labels(
        candidates, output, settings.prefix, classifier, snakemake.threads, counterpart, prior
    )

"""Write the windows of an audit, its regions, a row per document, and scores of its tokens."""

from pathlib import Path

from engram.auditing.documents import DocumentFile
from engram.auditing.settings import AuditSettings
from engram.auditing.streamed import AuditFiles, write_audit
from engram.io.artifacts import read_metadata
from engram.run.job import job
from engram.taxonomy.taxonomy import Taxonomy, categories_from_config

with job(snakemake) as settings:
    files, output = snakemake.input, snakemake.output
    chosen = AuditSettings.parse(settings.audit)
    write_audit(
        DocumentFile(files.documents),
        Path(files.candidates),
        Path(files.labels),
        settings.prefix,
        Taxonomy.parse(chosen.taxonomy, categories_from_config(settings.categories)),
        chosen,
        AuditFiles(*map(Path, (output.documents, output.windows, output.regions, output.tokens))),
        read_metadata(files.labels),
    )

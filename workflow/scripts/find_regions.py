"""Write the windows of an audit, its regions, and a row per document."""

from engram.auditing.documents import check_windows, read_back
from engram.auditing.settings import AuditSettings
from engram.auditing.tables import audit_windows
from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.run.job import job
from engram.taxonomy.taxonomy import Taxonomy, categories_from_config

COLUMNS = ("sequence_id", "document", "offset", "tokens", "token_matches", "token_log_probs")

with job(snakemake) as settings:
    files = snakemake.input
    documents = read_back(files.documents)
    windows, labels = read_parquet(files.candidates, COLUMNS), read_parquet(files.labels)
    check_windows(documents, windows, files.documents)
    taxonomy = Taxonomy.parse(
        settings.audit["taxonomy"], categories_from_config(settings.categories)
    )
    chosen = AuditSettings.parse(settings.audit)
    audit = audit_windows(documents, settings.prefix, windows, labels, taxonomy, chosen)
    metadata = read_metadata(files.labels)
    for name in ("documents", "windows", "regions"):
        write_parquet(getattr(audit, name), getattr(snakemake.output, name), metadata)

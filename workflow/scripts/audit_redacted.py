"""Audit documents in memory, and write positions and scores alone."""

import json
from pathlib import Path

from engram.auditing.classifier import load_calibrated
from engram.auditing.documents import read_whole
from engram.auditing.redaction import check_all, redacted, silent_about_texts, token_scores
from engram.auditing.settings import AuditSettings
from engram.auditing.whole import audit_documents
from engram.io.artifacts import read_parquet, write_parquet
from engram.lm.models import default_device, load_model, load_tokenizer
from engram.run.job import job
from engram.sources.snapshots import model_metadata
from engram.taxonomy.taxonomy import Taxonomy, categories_from_config
from engram.windows.code_classifier import OFFLINE, CodeClassifier

with job(snakemake) as settings, silent_about_texts():
    files, output = snakemake.input, snakemake.output
    folder, classifier = Path(files.model).parent, list(files.classifier)
    tokenizer, chosen = load_tokenizer(folder), AuditSettings.parse(settings.audit)
    source = (settings.documents, settings.pattern, settings.text_column)
    documents = list(read_whole(*source, tokenizer))
    result = audit_documents(
        load_model(folder, dtype=settings.dtype, device=default_device()),
        tokenizer,
        documents,
        (settings.prefix, settings.suffix),
        settings.stride,
        Taxonomy.parse(chosen.taxonomy, categories_from_config(settings.categories)),
        chosen,
        snakemake.resources.batch_tokens,
        CodeClassifier(**json.loads(Path(classifier[0]).read_text())) if classifier else OFFLINE,
        settings.unrelated,
        settings.seed,
        load_calibrated(read_parquet(files.cnns[0])) if files.cnns else None,
    )
    check_all(result.audit.windows, settings.candidates)
    tables = {"documents": result.audit.documents, "windows": result.audit.windows}
    tables |= {"regions": result.regions, "tokens": token_scores(documents, result.audit.scored)}
    if result.reconstruction is not None:
        tables |= {"books": result.reconstruction.books, "steps": result.reconstruction.steps}
    if result.classes is not None:
        tables |= {"classes": result.classes}
    metadata = model_metadata(vars(settings), settings.prefix, folder)
    for name, table in tables.items():
        write_parquet(redacted(table), getattr(output, name), metadata)

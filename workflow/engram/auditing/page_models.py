"""What a page shows of a model, read from the files of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from engram.auditing.books import Reconstruction
from engram.auditing.documents import Document, DocumentFile
from engram.auditing.joins import (
    cnn_classes,
    with_class_tokens,
    with_classes,
    with_continuations,
    with_counts,
    with_window_classes,
)
from engram.auditing.page import ModelOnPage
from engram.auditing.redaction import without_text
from engram.auditing.regions import Scored
from engram.auditing.streamed import ScoredFile
from engram.io.artifacts import read_parquet

COLUMNS = (
    *("document", "offset", "sequence_id", "log_p_z", "matched_fraction", "longest_match"),
    "extracted",
)
"""Columns of the windows that the page shows."""
FILES = (
    *("summaries", "windows", "tokens", "regions", "documents", "continuations"),
    *("books", "steps", "counts", "places", "classes"),
)
"""Files of a model's audit. A redacted one has neither documents nor continuations; what follows
these is there on request."""


def model_on_page(name: str, stride: int, files: Mapping[str, Path], prefix: int) -> ModelOnPage:
    """Return a model's audit as the page shows it.

    Args:
        name: the model's.
        stride: tokens between the beginnings of two windows.
        files: those of `FILES` that there are.
        prefix: tokens that prompt the model.
    """
    summary, regions = read_parquet(files["summaries"]), read_parquet(files["regions"])
    windows = read_parquet(files["windows"], COLUMNS)
    documents: Sequence[Document]
    scored: Sequence[Scored]
    if "documents" in files:
        documents, scored = DocumentFile(files["documents"]), ScoredFile(files["tokens"])
    else:
        documents, scored = without_text(read_parquet(files["tokens"]))
    if "continuations" in files:
        regions = with_continuations(regions, read_parquet(files["continuations"]))
    if "counts" in files:
        regions = with_counts(regions, read_parquet(files["counts"]))
    if "classes" in files:
        classified = read_parquet(files["classes"])
        windows = with_window_classes(windows, classified)
        regions = with_classes(regions, classified, prefix)
        summary = with_class_tokens(summary, regions, cnn_classes(classified))
    books = None
    if "books" in files:
        books = Reconstruction(read_parquet(files["books"]), read_parquet(files["steps"]))
    places = read_parquet(files["places"]) if "places" in files else None
    return ModelOnPage(name, stride, documents, scored, summary, windows, regions, books, places)

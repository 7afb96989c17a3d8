"""Pages of audits without a model: documents whose windows are written down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tiny_sources import byte_tokenizer

from engram.auditing.cutting import cut_windows
from engram.auditing.documents import documents_of_texts
from engram.auditing.page import ModelOnPage, render, write_page
from engram.auditing.settings import AuditSettings
from engram.auditing.tables import audit_windows
from engram.taxonomy.taxonomy import Taxonomy
from engram.windows.labels import label

PREFIX, SUFFIX, STRIDE = 10, 20, 5
RECALLED = "Call me Ishmael, some years ago, never mind how long precisely, having little money.\n"
GUESSED = "tick tock " * 9 + "\n"
FILLER = "The <b>quick</b> brown fox & its 10 friends jump over {}, é 漢字 😀, and rest.\n"


def filler(lines: int, seed: int) -> str:
    """Lines of which no two are equal."""
    return "".join(FILLER.format(seed * 10_000 + i) for i in range(lines))


TEXTS = {
    "alpha.txt": filler(4, 1) + RECALLED + filler(30, 2) + GUESSED + filler(5, 3) + RECALLED,
    "beta.txt": filler(20, 4),
    "gamma.txt": filler(40, 5) + RECALLED,
    "short.txt": "Too short.",
}
"""A recalled passage twice and a guessed one; nothing; one at the end; no window."""


def audited_model(name: str, texts: dict[str, str], stride: int = STRIDE) -> ModelOnPage:
    """The audit of a model that writes `RECALLED` and `GUESSED`, and of other texts nothing."""
    documents = documents_of_texts(list(texts), list(texts.values()), byte_tokenizer())
    windows = cut_windows(documents, PREFIX, SUFFIX, stride)
    known = {}
    for document in documents:
        known[document.name] = np.zeros(len(document.tokens), bool)
        for passage in (RECALLED, GUESSED):
            start = document.text.find(passage)
            while start >= 0:
                first, last = np.searchsorted(document.ends, [start + 1, start + len(passage)])
                known[document.name][first + PREFIX : last + 1] = True
                start = document.text.find(passage, start + 1)
    matches = [
        known[name][offset + PREFIX : offset + PREFIX + SUFFIX]
        for name, offset in zip(windows["document"], windows["offset"], strict=True)
    ]
    windows["token_matches"] = matches
    windows["token_log_probs"] = [np.where(own, -0.01, -1.7).astype("f4") for own in matches]
    windows["extracted"] = [bool(own.all()) for own in matches]
    windows["matched_fraction"] = [own.mean() for own in matches]
    windows["longest_match"] = [int(own.sum()) for own in matches]
    labels, _ = label(windows, PREFIX)
    settings = AuditSettings()
    taxonomy = Taxonomy.parse(settings.taxonomy)
    audit = audit_windows(documents, PREFIX, windows, labels, taxonomy, settings)
    regions = audit.regions.assign(
        written=30, agreed=25, continuation="Model's own words.", agreed_text="Model's"
    )
    tables = (audit.documents, audit.windows, regions)
    return ModelOnPage(name, stride, documents, audit.scored, *tables)


def write_audit(path: Path, models: list[ModelOnPage], limit: float = 50) -> Path:
    """The page of some models; `limit` (megabytes) bounds their texts."""
    settings = AuditSettings().model_copy(update={"megabytes": limit})
    write_page(render("browser", PREFIX, SUFFIX, models, settings), path, 50)
    return path


def long_texts(characters: int) -> dict[str, str]:
    """One document of at least this many characters, with a recalled line now and then."""
    block = filler(60, 7) + RECALLED
    return {"long.txt": block * (characters // len(block) + 1), **TEXTS}

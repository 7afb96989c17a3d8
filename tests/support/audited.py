"""Pages of audits without a model: documents whose windows are written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from tiny_sources import byte_tokenizer

from engram.auditing.books import BOOK_COLUMNS, Reconstruction
from engram.auditing.cutting import cut_windows
from engram.auditing.documents import Document, documents_of_texts
from engram.auditing.joins import with_class_tokens, with_classes, with_window_classes
from engram.auditing.page import ModelOnPage, TableOnPage, render, write_page
from engram.auditing.settings import AuditSettings
from engram.auditing.tables import audit_windows
from engram.taxonomy.taxonomy import Taxonomy
from engram.windows.labels import label
from engram.windows.similarity import MEASURES

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


def scored_windows(
    texts: dict[str, str], stride: int = STRIDE
) -> tuple[list[Document], pd.DataFrame]:
    """Documents, and their windows as a model that writes `RECALLED` and `GUESSED` scores them."""
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
    return documents, windows


def audited_model(name: str, texts: dict[str, str], stride: int = STRIDE) -> ModelOnPage:
    """The audit of a model that writes `RECALLED` and `GUESSED`, and of other texts nothing."""
    documents, windows = scored_windows(texts, stride)
    labels, _ = label(windows, PREFIX)
    settings = AuditSettings()
    taxonomy = Taxonomy.parse(settings.taxonomy)
    audit = audit_windows(documents, PREFIX, windows, labels, taxonomy, settings)
    regions = audit.regions.assign(
        written=30, agreed=25, continuation="Model's own words.", agreed_text="Model's"
    )
    tables = (audit.documents, audit.windows, regions)
    return ModelOnPage(name, stride, documents, audit.scored, *tables)


def with_cnns(model: ModelOnPage) -> ModelOnPage:
    """The same audit with classes by CNNs, which agree with the rule about Guess."""
    reproduced = model.windows[model.windows["extracted"]]
    guessed = (reproduced["class"] == "Guess").to_numpy()
    classified = reproduced[["document", "offset", "sequence_id"]].assign(
        cnn_class=np.where(guessed, "Guess", "Others"),
        cnn_Guess=np.where(guessed, 0.8, 0.1),
        cnn_Others=np.where(guessed, 0.2, 0.9),
    )
    regions = with_classes(model.regions, classified, PREFIX)
    return replace(
        model,
        windows=with_window_classes(model.windows, classified),
        regions=regions,
        summary=with_class_tokens(model.summary, regions, ["Guess", "Others"]),
    )


def reconstruction() -> Reconstruction:
    """Of alpha.txt, which the model loses at a quarter of its own output, and of beta.txt, which it
    writes to the end.
    """
    steps, books = [], []
    for name in ("alpha.txt", "beta.txt"):
        for way in ("true", "own"):
            values = np.linspace(1, 0.2, 12) if (name, way) == ("alpha.txt", "own") else np.ones(12)
            columns = dict.fromkeys(("matched", *MEASURES), values)
            frame = pd.DataFrame({"document": name, "continued": way, "start": 500.0, **columns})
            steps.append(frame.assign(step=np.arange(1, 13), start=500 + 30 * np.arange(12)))
            lost = values[-1] < 1
            book = {"document": name, "continued": way, "tokens": 360, "steps": 12}
            book |= {measure: float(values.mean()) for measure in ("matched", *MEASURES)}
            book |= {"exact_steps": 0.25 if lost else 1.0, "agreed": 90 if lost else 360}
            book |= {
                "agreed_text": "It was ",
                "written_text": "a <b>dark</b>",
                "true_text": "the best",
            }
            books.append(book)
    return Reconstruction(
        pd.DataFrame(books)[list(BOOK_COLUMNS)], pd.concat(steps, ignore_index=True)
    )


def places() -> pd.DataFrame:
    """Where else the first region of alpha.txt is."""
    return pd.DataFrame(
        {
            "document": "alpha.txt",
            "region": 1,
            "corpus": ["documents", "reference"],
            "found_in": ["gamma.txt", "<b>pile</b>.txt"],
            "start": [2900, 12],
            "tokens": [75, 30],
        }
    )


def further_tables() -> list[TableOnPage]:
    """A table of documents, and one of both models."""
    books = reconstruction().books.assign(model="one")
    popularity = {"model": ["one", "other"], "measure": "share_in_regions", "spearman": [0.5, None]}
    return [
        TableOnPage("audit_books", "Reconstructed documents", books),
        TableOnPage("audit_popularity", "Correlation with popularity", pd.DataFrame(popularity)),
    ]


def write_audit(
    path: Path,
    models: list[ModelOnPage],
    limit: float = 50,
    tables: Sequence[TableOnPage] = (),
    redact: bool = False,
) -> Path:
    """The page of some models; `limit` (megabytes) bounds their texts."""
    settings = AuditSettings().model_copy(update={"megabytes": limit, "redact": redact})
    write_page(render("browser", PREFIX, SUFFIX, models, settings, tables), path, 50)
    return path


def long_texts(characters: int) -> dict[str, str]:
    """One document of at least this many characters, with a recalled line now and then."""
    block = filler(60, 7) + RECALLED
    return {"long.txt": block * (characters // len(block) + 1), **TEXTS}

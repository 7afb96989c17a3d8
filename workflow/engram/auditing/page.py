"""The page of an audit: documents, their text and the regions that a model reproduces, in one HTML
file.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engram.auditing.books import OWN, TRUE, Reconstruction
from engram.auditing.documents import Document
from engram.auditing.joins import cnn_classes, probability_column
from engram.auditing.regions import Scored
from engram.auditing.settings import AuditSettings
from engram.auditing.tables import of_documents
from engram.io import pages
from engram.io.artifacts import whole
from engram.io.errors import EngramError
from engram.io.shipped import ROOT
from engram.windows.similarity import MEASURES

PAGE = pages.Page(
    "Engram audit",
    'what the model reproduces of these documents, <span id="window-text"></span>',
    ROOT / "workflow" / "audit",
    "audit",
    "audit",
    ("data", "colors", "reader", "track", "panel", "downloads", "books", "tables", "main"),
    choices='  <label id="model-label">Model <select id="model"></select></label>\n',
)
MEGABYTE = 1_000_000
RESERVE = 0.2
"""Share of the page's size that is left to its tables; more where they take more."""
FRAME = 100_000
"""Bytes of the page that are neither tables nor texts, at most."""
BINS = 240
"""Places of a document's strip in the list."""
CURVE = 200
"""Most places of a reconstruction's curve; a place is the mean of consecutive steps."""
NATS = 16
"""Steps of a token's log-probability in one nat; what is below 255 steps is 255."""


@dataclass(frozen=True)
class ModelOnPage:
    """A model's audit, as the page shows it."""

    name: str
    """The model's name."""
    stride: int
    """Tokens between the beginnings of two windows."""
    documents: Sequence[Document]
    """All of them."""
    scored: Sequence[Scored]
    """Of each document."""
    summary: pd.DataFrame
    """A row per document; see `engram.auditing.tables.summarize`."""
    windows: pd.DataFrame
    """A row per window; see `engram.auditing.windows.measure`, and
    `engram.auditing.joins.with_window_classes`."""
    regions: pd.DataFrame
    """A row per region, with what the model writes there."""
    reconstruction: Reconstruction | None = None
    """What the model writes of whole documents, where it was asked to."""
    places: pd.DataFrame | None = None
    """Where else the regions are; see `engram.auditing.occurrences`."""


@dataclass(frozen=True)
class TableOnPage:
    """A table that the page shows as it is."""

    name: str
    """Name of its file, without an ending."""
    title: str
    """What the reader chooses it by."""
    rows: pd.DataFrame
    """With a column `model` that holds the name of a model on the page."""


def render(
    title: str,
    prefix: int,
    suffix: int,
    models: Sequence[ModelOnPage],
    settings: AuditSettings,
    tables: Sequence[TableOnPage] = (),
) -> str:
    """Return the page.

    Documents take their place in the order of the tokens that are reproduced; the text of one for
    which `settings.megabytes` leave no room is left out, and its numbers stay.

    Args:
        title: of the study.
        prefix, suffix: tokens of a window.
        models: at least one.
        settings: of the audit.
        tables: further ones, shown in this order.
    """
    windows = [list(of_documents(model.summary["document"], model.windows)) for model in models]
    shown = [_model(*pair, prefix, suffix) for pair in zip(models, windows, strict=True)]
    study = {
        "study": title,
        "prefix": prefix,
        "suffix": suffix,
        "bins": BINS,
        "nats": NATS,
        "probabilities": list(settings.probabilities),
        "thresholds": list(settings.thresholds),
        "models": shown,
        "redacted": settings.redact,
        "book": settings.books.model_dump(include={"prefix", "step"}),
        "tables": [_table(table) for table in tables if len(table.rows)],
    }
    limit = settings.megabytes * MEGABYTE
    room = limit - max(RESERVE * limit, len(pages.embedded(study).encode()) + FRAME)
    blocks: list[str] = []
    for number, (model, own, said) in enumerate(zip(models, windows, shown, strict=True)):
        for key, place, text in _blocks(model, own, suffix):
            if len(text) <= room:
                name = said["documents"][place][key] = f"{key}-{number}-{place}"
                blocks.append(pages.block(name, text))
                room -= len(blocks[-1]) + len(name)
    return PAGE.render(title, pages.embedded(study), blocks)


def write_page(page: str, path: Path, megabytes: float) -> None:
    """Write the page.

    Raises:
        EngramError: it is larger than `megabytes` (10⁶ bytes).
    """
    data = page.encode("utf-8", errors="surrogatepass")
    if len(data) > megabytes * MEGABYTE:
        raise EngramError(
            f"{path}: {len(data) / MEGABYTE:.1f} MB are more than audit.megabytes, {megabytes:g}; "
            f"raise the limit, or audit fewer documents"
        )
    with whole(path) as temporary:
        temporary.write_bytes(data)


def _model(
    model: ModelOnPage,
    windows: Sequence[pd.DataFrame],
    prefix: int,
    suffix: int,
) -> dict[str, Any]:
    """Return what the page says of a model, as JSON values; `block` of a document is for the name
    of the element with its text.
    """
    regions = dict(list(model.regions.groupby("document", sort=False)))
    places = (
        {} if model.places is None else dict(list(model.places.groupby(["document", "region"])))
    )
    return {
        "name": model.name,
        "stride": model.stride,
        "classes": cnn_classes(model.windows),
        "documents": [
            {
                **_plain(row),
                "block": None,
                "strip": _strip(row["tokens"], prefix, suffix, windows[place]),
                "found": [
                    _plain(region) | _elsewhere(places, region)
                    for region in regions.get(row["document"], model.regions[:0]).to_dict("records")
                ],
            }
            for place, row in enumerate(model.summary.to_dict("records"))
        ],
    }


def _blocks(
    model: ModelOnPage, windows: Sequence[pd.DataFrame], suffix: int
) -> Iterator[tuple[str, int, str]]:
    """Yield what the page unpacks when a document is opened: `book` or `block`, the document's
    place, and the text of the element. What matters more comes first.
    """
    for place, text in _reconstructed(model):
        yield "book", place, text
    most_first = np.argsort(-model.summary["region_tokens"].to_numpy(), kind="stable")
    for place in most_first.tolist():
        packed = _packed(model.documents[place], model.scored[place], windows[place], suffix)
        yield "block", place, pages.deflated(packed, 6)


def _elsewhere(
    places: Mapping[Any, pd.DataFrame], region: Mapping[Any, Any]
) -> dict[str, list[list[Any]]]:
    """Return where else a region is: corpus, text, first token and tokens of each place."""
    if (own := places.get((region["document"], region["region"]))) is None:
        return {}
    return {"elsewhere": own[["corpus", "found_in", "start", "tokens"]].to_numpy().tolist()}


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row of a table as JSON values; what is no finite number is None."""
    values = {
        key: value.item() if isinstance(value, np.generic) else value for key, value in row.items()
    }
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in values.items()
    }


def _table(table: TableOnPage) -> dict[str, Any]:
    """Return a table as JSON values."""
    rows = [list(_plain(row).values()) for row in table.rows.to_dict("records")]
    columns = list(table.rows.columns)
    return {"name": table.name, "title": table.title, "columns": columns, "rows": rows}


def _reconstructed(model: ModelOnPage) -> Iterator[tuple[int, str]]:
    """Yield the place of every document that was reconstructed with what the page says of it: for
    both ways, the row of the document, and curves of every measure over its steps.
    """
    if model.reconstruction is None:
        return
    books, steps = (
        dict(list(table.groupby(["document", "continued"], sort=False)))
        for table in (model.reconstruction.books, model.reconstruction.steps)
    )
    for place, name in enumerate(model.summary["document"]):
        if (name, OWN) not in books:
            continue
        said = {
            way: {
                **_plain(books[name, way].iloc[0].to_dict()),
                "curves": _curves(steps[name, way]),
            }
            for way in (TRUE, OWN)
        }
        yield place, pages.deflated(json.dumps(said, allow_nan=False).encode(), 6)


def _curves(steps: pd.DataFrame) -> dict[str, list[float]]:
    """Return the first token of consecutive steps, `CURVE` runs of them at most, and the mean of
    every measure over each run.
    """
    runs = np.arange(len(steps)) * min(CURVE, len(steps)) // len(steps)
    means = steps[["matched", *MEASURES]].groupby(runs).mean().round(4)
    starts = steps["start"].groupby(runs).min()
    return {"start": starts.tolist(), **{str(name): means[name].tolist() for name in means}}


def _strip(length: int, prefix: int, suffix: int, windows: pd.DataFrame) -> str:
    """Return the likeliest window at `BINS` places of a document, base 64 of bytes: 0 where there
    is none, else 1 + 254 · (1 + log p_z / (2 · suffix)), not less than 1.
    """
    highest = np.zeros(BINS, np.uint8)
    levels = 1 + np.rint(254 * np.clip(1 + windows["log_p_z"].to_numpy() / (2 * suffix), 0, 1))
    first = (windows["offset"].to_numpy() + prefix) * BINS // max(1, length)
    last = (windows["offset"].to_numpy() + prefix + suffix - 1) * BINS // max(1, length)
    for level, start, end in zip(levels.astype(np.uint8), first, last, strict=True):
        np.maximum(highest[start : end + 1], level, out=highest[start : end + 1])
    return base64.b64encode(highest.tobytes()).decode("ascii")


def _packed(document: Document, scored: Scored, windows: pd.DataFrame, suffix: int) -> bytes:
    """Return a document for the page, little-endian: three uint32, the numbers of tokens n and of
    windows w and the bytes of the text; of each token, uint32 its end in the text in UTF-16 units,
    int32 its likeliest window, uint8 its log-probability; of each window, uint32 its offset,
    float32 log p_z, uint8 the first choices in its suffix, uint8 the longest run of them, uint8
    whether it is reproduced, uint8 its class by the CNNs (from 1, 0 for none), uint8 that class's
    probability in 255ths; the text in UTF-8.
    """
    text = document.text.encode("utf-8", errors="replace")
    steps = np.rint(-np.nan_to_num(scored.log_probs, nan=-np.inf) * NATS).clip(0, 255)
    matches = np.rint(windows["matched_fraction"].to_numpy() * suffix)
    parts = (
        np.array([len(document.tokens), len(windows), len(text)], "<u4"),
        _utf16_ends(document).astype("<u4"),
        scored.best.astype("<i4"),
        steps.astype(np.uint8),
        windows["offset"].to_numpy().astype("<u4"),
        windows["log_p_z"].to_numpy().astype("<f4"),
        matches.astype(np.uint8),
        windows["longest_match"].to_numpy().astype(np.uint8),
        windows["extracted"].to_numpy().astype(np.uint8),
        *_classes(windows),
    )
    return b"".join(part.tobytes() for part in parts) + text


def _classes(windows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the likeliest class by the CNNs of each window, from 1, and its probability in 255ths,
    uint8 (w,) each; 0 where the model does not reproduce the window.
    """
    none = np.zeros(len(windows), np.uint8)
    if not (names := cnn_classes(windows)):
        return none, none
    columns = [probability_column(name) for name in names]
    likely = np.nan_to_num(windows[columns].to_numpy(np.float64))  # (w, K)
    levels = np.rint(255 * likely.max(1)).astype(np.uint8)
    return np.where(levels > 0, 1 + likely.argmax(1), 0).astype(np.uint8), levels


def _utf16_ends(document: Document) -> np.ndarray:
    """Return the end of each token in UTF-16 units, in which JavaScript counts."""
    if document.text.isascii():
        return document.ends
    codes = np.frombuffer(document.text.encode("utf-32-le", errors="surrogatepass"), "<u4")
    wide = np.concatenate([[0], np.cumsum(codes > 0xFFFF)])
    return document.ends + wide[document.ends]

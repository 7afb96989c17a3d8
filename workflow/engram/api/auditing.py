"""Audits: what of whole texts a model reproduces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engram.api.display import html_table
from engram.api.language_model import LanguageModel, check_language_model
from engram.auditing.books import Reconstruction
from engram.auditing.classifier import calibrate, choose, load_calibrated
from engram.auditing.documents import Document, documents_of_texts
from engram.auditing.joins import (
    cnn_classes,
    with_class_tokens,
    with_classes,
    with_window_classes,
)
from engram.auditing.page import ModelOnPage, TableOnPage, render, write_page
from engram.auditing.settings import AuditSettings, BookSettings
from engram.auditing.tables import Audit
from engram.auditing.whole import audit_documents
from engram.io.errors import EngramError
from engram.lm.generation import BATCH_TOKENS
from engram.lm.models import fingerprint
from engram.lm.tokens import refuse_half_characters
from engram.nursery.shipped import NURSERIES, shipped_model
from engram.taxonomy.taxonomy import Taxonomy
from engram.windows.settings import PriorSettings

DEFAULTS = AuditSettings()
"""The settings of an audit."""
CNNS = "CNNs that give classes"
"""What the page calls the table `DocumentAudit.cnns`."""


@dataclass(frozen=True, repr=False, eq=False)
class DocumentAudit:
    """What a model reproduces of texts: what `engram.audit` returns."""

    model: str
    """The model's name."""
    prefix: int
    """Tokens of a window that prompt the model."""
    suffix: int
    """Tokens of a window that it is to reproduce."""
    stride: int
    """Tokens between the beginnings of two windows."""
    documents: pd.DataFrame
    """A row per text: `engram.auditing.tables.summarize`, with `tokens_cnn_<class>` where CNNs give
    classes."""
    windows: pd.DataFrame
    """A row per window: `engram.auditing.windows.measure`, with the class by CNNs of windows that
    are reproduced, `engram.auditing.classifier.classify`."""
    regions: pd.DataFrame
    """A row per region that is reproduced: `engram.auditing.regions.describe`, with what the model
    writes there on its own, `engram.auditing.tables.continue_regions`."""
    books: Reconstruction | None
    """What the model writes of whole texts, where it was asked to: `engram.auditing.books`."""
    cnns: pd.DataFrame | None
    """What the CNNs that give classes are worth: `engram.auditing.classifier.calibrate`."""
    _settings: AuditSettings
    _audit: Audit
    _texts: list[Document]

    def write_page(self, path: str | Path, title: str = "audit") -> Path:
        """Write the page: one HTML file that needs no network; return its path.

        Raises:
            EngramError: it is larger than 50 MB.
        """
        shown = ModelOnPage(
            self.model, self.stride, self._texts, self._audit.scored, self.documents, self.windows,
            self.regions, self.books,
        )  # fmt: skip
        tables = [] if self.cnns is None else [TableOnPage("audit_cnns", CNNS, self.cnns)]
        page = render(title, self.prefix, self.suffix, [shown], self._settings, tables)
        write_page(page, Path(path), DEFAULTS.megabytes)
        return Path(path)

    def _facts(self) -> dict[str, str]:
        extracted, count = int(self.windows["extracted"].sum()), len(self.windows)
        scored, inside = (int(self.documents[c].sum()) for c in ("scored_tokens", "region_tokens"))
        return {
            "texts": f"{len(self.documents):,}",
            "windows": f"{count:,} of {self.prefix} + {self.suffix} tokens, every {self.stride}",
            "reproduced": f"{extracted:,} windows ({extracted / count:.2%})",
            "regions": f"{len(self.regions):,}, {inside:,} of {scored:,} scored tokens",
        }

    def __repr__(self) -> str:
        facts = "; ".join(f"{name} {value}" for name, value in self._facts().items())
        return f"DocumentAudit of {self.model}: {facts}"

    def _repr_html_(self) -> str:
        return html_table(f"Audit of {self.model}", self._facts())


def audit(
    lm: LanguageModel,
    texts: Any,
    prefix: int = 50,
    suffix: int = 50,
    *,
    stride: int = 10,
    taxonomy: str | Taxonomy = DEFAULTS.taxonomy,
    books: Mapping[str, int] | None = None,
    unrelated: int = 0,
    cnns: str | Path | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> DocumentAudit:
    """Find what a model reproduces of whole texts, window by window.

    Windows of prefix + suffix tokens are cut from every text, and one forward each shows how likely
    the suffix is and whether the model reproduces it. `python -m engram audit` does the same for
    files, as a study whose results are kept.

    Args:
        lm: of `engram.load`.
        texts: a list or Series of texts, or a mapping of names to texts. A text that is shorter
            than a window is listed without windows.
        prefix: tokens that prompt the model, 2 to 1,024.
        suffix: tokens to reproduce.
        stride: tokens between the beginnings of two windows; a passage is found where a window fits
            into it, and one of `suffix` scores every token once.
        taxonomy: the rule that gives reproduced windows their class.
        books: sizes of a reconstruction of whole texts, `prefix`, `step` and `longest`, for example
            `{"prefix": 500, "step": 30}`; see `engram.auditing.settings.BookSettings`. None
            reconstructs nothing.
        unrelated: prefixes of other texts after which every suffix is asked for as well, 8 or more;
            each costs a forward per window. Windows and regions then have `log_prior_ratio`; see
            `engram.lm.prior`.
        cnns: folder of a finished study, `results/<study>`, that ran this model with this prefix
            and suffix. Its CNNs for `taxonomy` give the windows that are reproduced the probability
            of each class, where all are equally frequent. Load the model from a folder, for example
            `results/<study>/<model>/model`.
        batch_tokens: tokens per batch; halved when a GPU runs out of memory.

    Raises:
        EngramError: texts that cannot be read, none as long as a window, a window longer than the
            model's context, or CNNs of another model or window.
    """
    check_language_model(lm)
    for key, number, least in (("prefix", prefix, 2), ("suffix", suffix, 1), ("stride", stride, 1)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
            raise EngramError(f"{key}: {number!r}; give a number of tokens, {least} or more")
    PriorSettings.parse({"prefixes": unrelated}, "unrelated")
    classes = taxonomy if isinstance(taxonomy, Taxonomy) else Taxonomy.parse(taxonomy)
    settings = DEFAULTS
    if books is not None:
        chosen = BookSettings.parse({**books, "enabled": True}, "books")
        settings = DEFAULTS.model_copy(update={"books": chosen})
    documents = documents_of_texts(*_named(texts), lm.tokenizer)
    worth = None
    if cnns is not None:
        fitting = choose(cnns, classes, _fingerprints(lm), lm.dtype, (prefix, suffix))
        worth = calibrate(fitting)
    result = audit_documents(
        lm.model, lm.tokenizer, documents, (prefix, suffix), stride, classes, settings,
        batch_tokens, unrelated=unrelated, cnns=None if worth is None else load_calibrated(worth),
    )  # fmt: skip
    audit, regions, found = result.audit, result.regions, result.classes
    rows, windows = audit.documents, audit.windows
    if found is not None:
        windows, regions = with_window_classes(windows, found), with_classes(regions, found, prefix)
        rows = with_class_tokens(rows, regions, cnn_classes(found))
    tables = (rows, windows, regions, result.reconstruction, worth)
    return DocumentAudit(lm.name, prefix, suffix, stride, *tables, settings, audit, documents)


def _fingerprints(lm: LanguageModel) -> Iterator[str]:
    """Yield the fingerprints of a model in a folder, for each way to ask for its precision."""
    folder = shipped_model(lm.name) if lm.name in NURSERIES else Path(lm.name)
    if folder.is_dir():
        yield from (fingerprint(folder, None, dtype) for dtype in (lm.dtype, "auto"))


def _named(texts: Any) -> tuple[list[str], list[str]]:
    """Return the names and contents of texts.

    Raises:
        EngramError: they are no texts, or two have one name.
    """
    if isinstance(texts, Mapping | pd.Series):
        names, contents = map(list, zip(*texts.items(), strict=True)) if len(texts) else ([], [])
        names = [str(name) for name in names]
    elif isinstance(texts, Sequence) and not isinstance(texts, str | bytes):
        names, contents = [f"text {number}" for number in range(1, len(texts) + 1)], list(texts)
    else:
        raise EngramError(
            f"texts: one {type(texts).__name__}; give a list of texts, or a mapping of names to "
            f"texts"
        )
    if not contents:
        raise EngramError("texts: empty; give at least one text")
    for name, content in zip(names, contents, strict=True):
        if not isinstance(content, str):
            raise EngramError(f"texts: {name} is a {type(content).__name__}, not a text")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise EngramError(f"texts: two are named {twice}; give each its own name")
    refuse_half_characters(contents, names, "texts")
    return names, contents

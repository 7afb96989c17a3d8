"""Audits whose files hold no text: positions and scores alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import fields

import numpy as np
import pandas as pd

from engram.auditing.documents import Document
from engram.auditing.regions import Scored
from engram.io.errors import EngramError

TEXTS = ("prefix", "text", "continuation", "agreed_text", "written_text", "true_text")
"""Columns of an audit's tables that hold text."""


def redacted(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without its columns of text."""
    return table.drop(columns=[name for name in TEXTS if name in table])


def token_scores(documents: Sequence[Document], scored: Sequence[Scored]) -> pd.DataFrame:
    """Return what the windows say of the tokens of each document, without the tokens: document and
    a column of arrays for each field of `engram.auditing.regions.Scored`.
    """
    return pd.DataFrame(
        {
            "document": [document.name for document in documents],
            **{
                field.name: [getattr(own, field.name) for own in scored] for field in fields(Scored)
            },
        }
    )


def without_text(scores: pd.DataFrame) -> tuple[list[Document], list[Scored]]:
    """Return documents as long as those of `token_scores`, with no text and tokens of 0, and their
    scores.
    """
    names = [field.name for field in fields(Scored)]
    scored = [Scored(*row) for row in scores[names].itertuples(index=False)]
    lengths = [len(own.covered) for own in scored]
    documents = [
        Document(name, "", np.zeros(length, np.int32), np.zeros(length, np.int64))
        for name, length in zip(scores["document"], lengths, strict=True)
    ]
    return documents, scored


def check_all(windows: pd.DataFrame, candidates: int) -> None:
    """Check that a study asks for all windows: none are drawn in memory.

    Raises:
        EngramError: it asks for fewer.
    """
    if len(windows) > candidates:
        raise EngramError(
            f"candidates: {candidates}; audit.redact scores all {len(windows)} windows, so give at "
            f"least as many, or a greater stride"
        )


def messages(redact: bool) -> AbstractContextManager[None]:
    """Return `silent_about_texts` for a redacted audit; messages of others may say all."""
    return silent_about_texts() if redact else nullcontext()


@contextmanager
def silent_about_texts() -> Iterator[None]:
    """Keep texts out of messages, and so out of logs.

    Raises:
        EngramError: instead of any error: an `EngramError` without what it quotes, and of any other
            one its kind and place.
    """
    try:
        yield
    except EngramError as error:
        message = re.sub(r"(['\"]).*\1", "…", str(error), flags=re.DOTALL)
        raise EngramError(message) from None
    except Exception as error:
        last = error.__traceback__
        while last is not None and last.tb_next is not None:
            last = last.tb_next
        place = f"{last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last else "engram"
        raise EngramError(
            f"{place}: {type(error).__name__}; its message could quote a text, so that "
            f"audit.redact leaves it out"
        ) from None

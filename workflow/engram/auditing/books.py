"""Reconstruction of whole documents: what a model writes from a prefix, step by step, when the
prefix is always the true text, and when it is the model's own (arXiv 2504.12549).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engram.auditing.documents import Document
from engram.auditing.settings import BookSettings
from engram.io.errors import EngramError
from engram.lm.generation import greedy_continuations
from engram.lm.inputs import opening
from engram.lm.tokens import decode
from engram.windows.similarity import MEASURES, similarity

TRUE, OWN = "true", "own"
"""What the model continues: the document, or what it has written itself."""
BOOK_COLUMNS = (
    *("document", "continued", "tokens", "steps", "exact_steps", "matched", "agreed"),
    *MEASURES,
    *("agreed_text", "written_text", "true_text"),
)
STEP_COLUMNS = ("document", "continued", "step", "start", "tokens", "matched", *MEASURES)
EXCERPT = 50
"""Tokens of the texts around the place where a reconstruction leaves its document."""
PROMPTS_AT_ONCE = 4096


@dataclass(frozen=True)
class Reconstruction:
    """What a model writes of documents."""

    books: pd.DataFrame
    """Two rows per document; see `reconstruct`."""
    steps: pd.DataFrame
    """A row per step; see `reconstruct`."""


def reconstruct(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: Sequence[Document],
    settings: BookSettings,
    batch_tokens: int,
) -> Reconstruction:
    """Let a model write documents again, greedily, from their first tokens.

    Every step writes `settings.step` tokens behind `settings.prefix` ones. Of the way `true` these
    are the document's, so that steps do not depend on one another; of the way `own` they are the
    last ones of what the model has written so far, behind the document's first prefix.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        documents: those that are not longer than the prefix are left out.
        settings: sizes.
        batch_tokens: tokens per batch of the model.

    Returns:
        `steps`: document, continued (`true` or `own`), step (from 1), start (tokens of the document
        before it), tokens, matched (share of the tokens that are the document's at the same place),
        and the measures of `engram.windows.similarity.similarity` for the step's tokens.
        `books`: the same for all steps together; steps; exact_steps (share of the steps without an
        error); agreed (tokens before the first one that differs); and around that place,
        agreed_text (the last tokens that agree), written_text and true_text (what follows; at most
        50 tokens each).

    Raises:
        EngramError: prefix and step are longer than the model's context.
    """
    _check_context(model, settings)
    chosen = [each for each in documents if len(each.tokens) > settings.prefix]
    books, steps = [], []
    behind_true = _from_true(model, chosen, settings, batch_tokens)
    behind_own = _own(model, chosen, settings, batch_tokens)
    for document, *written in zip(chosen, behind_true, behind_own, strict=True):
        true = document.tokens[settings.prefix :][: len(written[0])]
        for way, text in zip((TRUE, OWN), written, strict=True):
            row, table = _compared(document.name, way, true, text, settings)
            books.append({**row, **_excerpts(tokenizer, true, text, row["agreed"])})
            steps.append(table)
    return Reconstruction(
        pd.DataFrame(books, columns=list(BOOK_COLUMNS)),
        pd.concat(steps, ignore_index=True) if steps else pd.DataFrame(columns=list(STEP_COLUMNS)),
    )


def priced(lengths: Sequence[int], settings: BookSettings) -> dict[str, int]:
    """Return what `reconstruct` costs a model.

    Args:
        lengths: tokens of each document.
        settings: sizes.

    Returns:
        sequences: steps of both ways, each of which reads a prefix; tokens: that are read or
        written, special ones not counted.
    """
    parts = [_written(length, settings) for length in lengths]
    steps = sum(-(-part // settings.step) for part in parts)
    return {"sequences": 2 * steps, "tokens": 2 * steps * (settings.prefix + settings.step)}


def _check_context(model: PreTrainedModel, settings: BookSettings) -> None:
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    window = len(opening(model)) + settings.prefix + settings.step
    if context is not None and window > context:
        raise EngramError(
            f"audit.books: a prefix of {settings.prefix} and a step of {settings.step} tokens are "
            f"longer than the model's context of {context}; give smaller ones"
        )


def _written(length: int, settings: BookSettings) -> int:
    """Return how many tokens of a document of some length are written again."""
    rest = max(0, length - settings.prefix)
    return min(rest, settings.longest) if settings.longest else rest


def _from_true(
    model: PreTrainedModel,
    documents: Sequence[Document],
    settings: BookSettings,
    batch_tokens: int,
) -> list[np.ndarray]:
    """Return what the model writes behind the true text of each document, step by step."""
    counts = [_written(len(each.tokens), settings) for each in documents]
    steps = [-(-count // settings.step) for count in counts]
    places = [(i, step * settings.step) for i, own in enumerate(steps) for step in range(own)]
    parts = [np.empty((0, settings.step), np.int32)]
    chunks = range(0, len(places), PROMPTS_AT_ONCE)
    for begin in tqdm(chunks, desc="steps behind true text", mininterval=2, delay=2):
        prompts = [
            documents[i].tokens[first : first + settings.prefix]
            for i, first in places[begin : begin + PROMPTS_AT_ONCE]
        ]
        parts.append(_continued(model, prompts, settings, batch_tokens))
    texts = np.split(np.concatenate(parts), np.cumsum(steps)[:-1]) if steps else []
    return [text.ravel()[:count] for text, count in zip(texts, counts, strict=True)]


def _continued(
    model: PreTrainedModel, prompts: Sequence[np.ndarray], settings: BookSettings, batch_tokens: int
) -> np.ndarray:
    """Return what the model writes in one step behind each prompt, (n, step)."""
    rows = np.stack(prompts)  # (n, prefix)
    return greedy_continuations(model, rows, settings.step, batch_tokens, quiet=True)


def _own(
    model: PreTrainedModel,
    documents: Sequence[Document],
    settings: BookSettings,
    batch_tokens: int,
) -> Iterator[np.ndarray]:
    """Yield what the model writes behind its own text, of each document. All of them are written
    side by side, a step at a time.
    """
    counts = np.array([_written(len(each.tokens), settings) for each in documents], np.int64)
    steps = -(-counts // settings.step)
    texts = [
        np.concatenate([each.tokens[: settings.prefix], np.zeros(own * settings.step, np.int32)])
        for each, own in zip(documents, steps.tolist(), strict=True)
    ]
    rounds = range(int(steps.max(initial=0)))
    for step in tqdm(rounds, desc="steps behind own text", unit="step", mininterval=2, delay=2):
        active = np.flatnonzero(steps > step)
        first = step * settings.step
        prompts = [texts[i][first : first + settings.prefix] for i in active]
        written = _continued(model, prompts, settings, batch_tokens)
        for place, tokens in zip(active, written, strict=True):
            begin = first + settings.prefix
            texts[place][begin : begin + settings.step] = tokens
    for text, count in zip(texts, counts.tolist(), strict=True):
        yield text[settings.prefix : settings.prefix + count]


def _compared(
    name: str, way: str, true: np.ndarray, written: np.ndarray, settings: BookSettings
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the row of a document and the rows of its steps."""
    equal = true == written
    rows: list[dict[str, object]] = []
    for number, begin in enumerate(range(0, len(true), settings.step), 1):
        part = slice(begin, begin + settings.step)
        rows.append(
            {
                "document": name,
                "continued": way,
                "step": number,
                "start": settings.prefix + begin,
                "tokens": len(true[part]),
                "matched": equal[part].mean(),
                **similarity(true[part], written[part]),
            }
        )
    steps = pd.DataFrame(rows, columns=list(STEP_COLUMNS))
    book = {
        "document": name,
        "continued": way,
        "tokens": len(true),
        "steps": len(steps),
        "exact_steps": (steps["matched"] == 1).mean(),
        "matched": equal.mean(),
        "agreed": len(equal) if equal.all() else int(np.argmin(equal)),
        **similarity(true, written),
    }
    return book, steps


def _excerpts(
    tokenizer: PreTrainedTokenizerBase, true: np.ndarray, written: np.ndarray, agreed: int
) -> dict[str, str]:
    """Return the texts around the first token that differs."""
    before = true[max(0, agreed - EXCERPT) : agreed]
    after = slice(agreed, agreed + EXCERPT)
    texts = decode(tokenizer, [before.tolist(), written[after].tolist(), true[after].tolist()])
    return dict(zip(("agreed_text", "written_text", "true_text"), texts, strict=True))

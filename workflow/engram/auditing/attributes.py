"""Attributes of documents, a diagnosis or a town: does a model stick to the value that it has read
when others of its kind could take the place, or when another attribute has changed (after the
perturbation test of arXiv 2510.12950)?
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engram.auditing.documents import Document
from engram.lm.generation import teacher_forced_scores
from engram.lm.tokens import encoder

ANSWER_COLUMNS = (
    *("document", "attribute", "changed", "values", "rank", "log_p", "best_other_log_p"),
)
LEAST_BEFORE = 2
"""Tokens before a value, at least."""


@dataclass(frozen=True)
class _Question:
    """A place of a value, and the text before it."""

    document: str
    attribute: str
    changed: str
    before: list[int]
    """Tokens that the model reads."""
    candidates: list[list[int]]
    """Tokens of the true value, and then of the others."""


def ask_attributes(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: Sequence[Document],
    facts: pd.DataFrame,
    attributes: Sequence[str],
    prefix: int,
    alternatives: int,
    seed: int,
    batch_tokens: int,
) -> pd.DataFrame:
    """Return how likely a model finds each document's own values among others of their kind.

    The place of a value is where it first occurs in the document. The model reads the `prefix`
    tokens before it; its own value and those of other documents, drawn without repetition, follow.
    Where the value of another attribute is among these tokens, the question is asked once more with
    that one replaced by one of its kind.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        documents: all of them.
        facts: `document` and the attributes, as text; see `engram.auditing.facts.read_facts`.
        attributes: columns of the facts.
        prefix: most tokens before a value.
        alternatives: other values at each place; fewer where an attribute has fewer.
        seed: of the draws.
        batch_tokens: tokens per batch of the model.

    Returns:
        a row per question: document; attribute; changed, the attribute that was replaced before it,
        or empty; values (the true one and the others); rank of the true one, 1 for the likeliest;
        its log-probability (nats, of all its tokens) and that of the likeliest other one. Values
        that do not occur in their document, with two tokens before them, are not asked for.
    """
    questions = list(
        _questions(tokenizer, documents, facts, attributes, prefix, alternatives, seed)
    )
    places = [(i, j) for i, each in enumerate(questions) for j in range(len(each.candidates))]
    rows = [(questions[i].before, questions[i].candidates[j]) for i, j in places]
    scores = _log_probabilities(model, rows, batch_tokens)
    answers, first = [], 0
    for question in questions:
        own = scores[first : first + len(question.candidates)]
        first += len(own)
        answers.append(
            {
                "document": question.document,
                "attribute": question.attribute,
                "changed": question.changed,
                "values": len(own),
                "rank": 1 + int((own[1:] >= own[0]).sum()),
                "log_p": own[0],
                "best_other_log_p": own[1:].max(),
            }
        )
    return pd.DataFrame(answers, columns=list(ANSWER_COLUMNS))


def _questions(
    tokenizer: PreTrainedTokenizerBase,
    documents: Sequence[Document],
    facts: pd.DataFrame,
    attributes: Sequence[str],
    prefix: int,
    alternatives: int,
    seed: int,
) -> Iterator[_Question]:
    encode = encoder(tokenizer)
    known = facts.set_index("document")[list(attributes)]
    kinds = {name: sorted({value for value in known[name] if value}) for name in attributes}
    generator = np.random.default_rng(seed)
    for document in documents:
        if document.name not in known.index:
            continue
        values = known.loc[document.name].to_dict()
        for name in attributes:
            others = [value for value in kinds[name] if value != values[name]]
            found = _whole_word(values[name]).search(document.text) if values[name] else None
            if found is None or not others:
                continue
            start = found.start()
            count = min(alternatives, len(others))
            drawn = [others[i] for i in generator.choice(len(others), count, replace=False)]
            # A token may begin before the value: with the space that parts the words.
            token = int(np.searchsorted(document.ends, start, side="right"))
            begin = int(document.ends[token - 1]) if token else 0
            first = max(0, token - prefix)
            if token - first < LEAST_BEFORE:
                continue
            lead = document.text[begin:start]
            texts = [lead + value for value in (values[name], *drawn)]
            candidates = [tokens for tokens in encode(texts) if tokens]
            if len(candidates) < len(texts):
                continue
            before = document.tokens[first:token].tolist()
            yield _Question(document.name, name, "", before, candidates)
            text = document.span(first, token)
            for other in attributes:
                kind = [value for value in kinds[other] if value != values[other]]
                if other == name or not values[other] or not kind:
                    continue
                drawn_value = kind[int(generator.integers(len(kind)))]
                pieces = _whole_word(values[other]).split(text)
                replaced = drawn_value.join(pieces)
                before = encode([replaced])[0][-prefix:]
                if replaced != text and len(before) >= LEAST_BEFORE:
                    yield _Question(document.name, name, other, before, candidates)


def _whole_word(value: str) -> re.Pattern[str]:
    """Return a pattern of a value that is not a part of a longer word."""
    return re.compile(rf"(?<!\w){re.escape(value)}(?!\w)")


def _log_probabilities(
    model: PreTrainedModel, rows: Sequence[tuple[list[int], list[int]]], batch_tokens: int
) -> np.ndarray:
    """Return the log-probability of each second run of tokens behind the first, nats, (n,)."""
    shapes: dict[tuple[int, int], list[int]] = {}
    for place, (before, value) in enumerate(rows):
        shapes.setdefault((len(before), len(value)), []).append(place)
    scores = np.zeros(len(rows))
    for (length, _), places in shapes.items():
        tokens = np.array([[*rows[i][0], *rows[i][1]] for i in places], np.int64)  # (n, T)
        result = teacher_forced_scores(model, tokens, length, batch_tokens, per_token=True)
        scores[places] = np.stack(result["token_log_probs"].tolist()).astype(np.float64).sum(1)
    return scores

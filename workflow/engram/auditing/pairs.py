"""Paired cloze: does a model complete a term with its identifier, and an identifier with its term
(after arXiv 2510.19036)?
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engram.auditing.facts import as_text
from engram.auditing.settings import PairSettings
from engram.auditing.templates import ASKED, DIRECTIONS, prompt
from engram.io.errors import EngramError
from engram.lm.generation import teacher_forced_scores
from engram.lm.tokens import encoder
from engram.sources.files import read_rows

ANSWER_COLUMNS = ("pair", "direction", "tokens", "correct", "log_p")
YES, NO = ("1", "true", "yes"), ("", "0", "false", "no")
"""What a column of held-out pairs may hold, in small letters."""


def read_pairs(settings: PairSettings) -> pd.DataFrame:
    """Return the pairs of a table.

    Args:
        settings: the table and its columns.

    Returns:
        pair (number of the row, from 1), term, identifier, popularity (float64, NaN where it is not
        known), held_out (bool: the pair was not in the training text; False where no column says
        so) and overlap, see `lexical_overlap`.

    Raises:
        EngramError: the table cannot be read, lacks a column or has no pair, a term or identifier
            is missing, or a value is neither a number nor empty, or neither yes nor no.
    """
    named = {"term": settings.term, "identifier": settings.identifier}
    named |= {
        key: column for key in ("popularity", "held_out") if (column := getattr(settings, key))
    }
    path = Path(settings.table)
    parts = [as_text(rows.table.to_pandas()) for rows in read_rows(path, list(named.values()))]
    if not parts:
        raise EngramError(f"{path}: no pair in it; give a row per term and identifier")
    table = pd.concat(parts, ignore_index=True)
    return pairs_of({key: table[column] for key, column in named.items()}, str(path))


def pairs_of(columns: dict[str, pd.Series], where: str) -> pd.DataFrame:
    """Return the pairs of columns of texts, as `read_pairs` does.

    Args:
        columns: term, identifier, and if they are known popularity and held_out.
        where: what messages call the table.
    """
    table = pd.DataFrame(columns).reset_index(drop=True)
    for name in ("term", "identifier"):
        if (empty := table[name].str.strip() == "").any():
            raise EngramError(f"{where}: pair {int(empty.argmax()) + 1} has no {name}")
    popularity = np.full(len(table), np.nan)
    if "popularity" in table:
        popularity = pd.to_numeric(table["popularity"], errors="coerce").to_numpy(np.float64)
        _refuse(~np.isfinite(popularity) & (table["popularity"] != ""), table, "popularity", where)
    held_out = np.zeros(len(table), bool)
    if "held_out" in table:
        said = table["held_out"].str.strip().str.lower()
        _refuse(~said.isin([*YES, *NO]), table, "held_out", where)
        held_out = said.isin(YES).to_numpy()
    pairs = zip(table["term"], table["identifier"], strict=True)
    return pd.DataFrame(
        {
            "pair": np.arange(1, len(table) + 1),
            "term": table["term"],
            "identifier": table["identifier"],
            "popularity": popularity,
            "held_out": held_out,
            "overlap": [lexical_overlap(*pair) for pair in pairs],
        }
    )


def _refuse(wrong: pd.Series, table: pd.DataFrame, name: str, where: str) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        wanted = "a number" if name == "popularity" else "true or false"
        raise EngramError(
            f"{where}: {name} of pair {row + 1} is {table[name].iloc[row]!r:.40}, not {wanted}; "
            f"correct it, or leave it empty"
        )


def lexical_overlap(term: str, identifier: str) -> float:
    """Return how alike a term and its identifier are written: the Jaccard index of their character
    trigrams, a fraction. Case does not count, and both are padded with two blanks at either end.
    """
    first, second = (
        {padded[i : i + 3] for i in range(len(padded) - 2)}
        for padded in (f"  {text.casefold()}  " for text in (term, identifier))
    )
    return len(first & second) / len(first | second)


def ask_pairs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: pd.DataFrame,
    settings: PairSettings,
    batch_tokens: int,
) -> pd.DataFrame:
    """Return whether a model completes each pair, in both directions.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        pairs: of `read_pairs`.
        settings: the templates.
        batch_tokens: tokens per batch of the model.

    Returns:
        pair, direction, tokens (of the answer), correct (greedy decoding writes the answer: each of
        its tokens is the first choice) and log_p (nats, of the whole answer).

    Raises:
        EngramError: a template that cannot be filled.
    """
    questions = list(_questions(tokenizer, pairs, settings))
    shapes: dict[tuple[int, int], list[int]] = {}
    for place, (_, _, before, answer) in enumerate(questions):
        shapes.setdefault((len(before), len(answer)), []).append(place)
    correct, log_p = np.zeros(len(questions), bool), np.zeros(len(questions))
    for (length, _), places in shapes.items():
        tokens = np.array(
            [[*questions[i][2], *questions[i][3]] for i in places], np.int64
        )  # (n, T)
        result = teacher_forced_scores(model, tokens, length, batch_tokens, per_token=True)
        correct[places] = result["extracted"].to_numpy()
        log_p[places] = np.stack(result["token_log_probs"].tolist()).astype(np.float64).sum(1)
    return pd.DataFrame(
        {
            "pair": [question[0] for question in questions],
            "direction": [question[1] for question in questions],
            "tokens": [len(question[3]) for question in questions],
            "correct": correct,
            "log_p": log_p,
        },
        columns=list(ANSWER_COLUMNS),
    )


def _questions(
    tokenizer: PreTrainedTokenizerBase, pairs: pd.DataFrame, settings: PairSettings
) -> Iterator[tuple[int, str, list[int], list[int]]]:
    """Yield pair, direction, the tokens of the prompt, and those of the answer."""
    encode = encoder(tokenizer)
    for direction in DIRECTIONS:
        before, blank = prompt(getattr(settings, direction), direction)
        given, asked = ASKED[direction]
        # A token may begin before the answer: with the space that parts the words.
        prompts = encode([before.replace(f"{{{given}}}", text) for text in pairs[given]])
        answers = encode([blank + text for text in pairs[asked]])
        yield from (
            (number, direction, own, answer)
            for number, own, answer in zip(pairs["pair"], prompts, answers, strict=True)
            if own and answer
        )

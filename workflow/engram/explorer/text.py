"""A sample's tokens as text, and what is known of it in words."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from transformers import PreTrainedTokenizerBase

_UNKNOWN = "\ufffd"

_FACTS: tuple[tuple[str, str, str], ...] = (
    ("memorization_score", "Memorization score (matched share of the corpus's suffix)", "{:.2f}"),
    ("matched_fraction", "Matched share of the text shown, teacher-forced", "{:.2f}"),
    ("suffix_log_prob", "Log-probability of the suffix shown (nats per token)", "{:.2f}"),
    ("sequence_duplicates", "Occurrences of the suffix in the corpus", "{:,.0f}"),
    ("exposures", "Exposures in drilling", "{:,.0f}"),
    ("rouge_l", "ROUGE-L of prefix and suffix", "{:.2f}"),
    ("rouge_3", "ROUGE-3 of prefix and suffix", "{:.2f}"),
    ("kind", "Kind of text", "{}"),
)
"""Column, what the page calls it, format."""
_FLAGS = (("is_repeating", "repeating"), ("is_incrementing", "incrementing"), ("is_code", "code"))


class Words:
    """Token ids as pieces of text.

    Args:
        tokenizer: of the model.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = frozenset(tokenizer.get_vocab().values())
        self._known: dict[int, str] = {}

    def of(self, tokens: Iterable[int]) -> list[str]:
        """Return the text of each token alone; a token that is a part of a character shows as its
        name in the vocabulary, one that the tokenizer lacks as its number.
        """
        return [self._word(int(token)) for token in tokens]

    def _word(self, token: int) -> str:
        if token not in self._known:
            self._known[token] = self._shown(token)
        return self._known[token]

    def _shown(self, token: int) -> str:
        # An embedding may have more rows than the tokenizer has tokens.
        if token not in self._vocabulary:
            return f"⟨token {token}⟩"
        text = str(self._tokenizer.decode([token], clean_up_tokenization_spaces=False))
        if _UNKNOWN in text or not text:
            return f"⟨{self._tokenizer.convert_ids_to_tokens(token)}⟩"
        return text


def facts(row: pd.Series, continued: bool = False) -> list[list[str]]:
    """Return pairs of name and value of what the labels and the verification know of a sample, and
    which text it shows: the model's own continuation (`continued`) or its true text.
    """
    known = [
        [name, form.format(row[column])]
        for column, name, form in _FACTS
        if column in row and pd.notna(row[column])
    ]
    flags = [name for column, name in _FLAGS if column in row and bool(row[column])]
    text = "the model's own continuation" if continued else "the true text"
    return [
        ["Text shown", text],
        *known,
        ["Templates and code", ", ".join(flags) or "none found"],
    ]

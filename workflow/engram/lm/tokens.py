"""Texts to tokens and back, as the corpus is read: no special tokens added, nothing cut, nothing
tidied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from engram.io.errors import EngramError


def encoder(tokenizer: PreTrainedTokenizerBase) -> Callable[[Sequence[str]], list[list[int]]]:
    """Return a function from texts to their token ids, on all cores where the tokenizer has a
    compiled backend.
    """
    if isinstance(tokenizer, PreTrainedTokenizerFast):
        backend = plain_backend(tokenizer)
        return lambda texts: [
            encoding.ids
            for encoding in backend.encode_batch_fast(list(texts), add_special_tokens=False)
        ]
    return lambda texts: tokenizer(list(texts), add_special_tokens=False, verbose=False)[
        "input_ids"
    ]


def encoder_with_ends(
    tokenizer: PreTrainedTokenizerBase,
) -> Callable[[Sequence[str]], list[tuple[list[int], list[int]]]]:
    """Return a function from texts to their token ids, those of `encoder`, and to the end of each
    token in the text, in characters.

    Ends never descend: the tokens of one character all end with it, and white space that a
    tokenizer drops belongs to the token behind it. A tokenizer without a compiled backend does not
    say where tokens end; there it is the length of the text that the tokens so far decode to, one
    by one, and at most that of the text.
    """
    if isinstance(tokenizer, PreTrainedTokenizerFast):
        backend = plain_backend(tokenizer)
        return lambda texts: [
            (encoding.ids, list(accumulate((end for _, end in encoding.offsets), max)))
            for encoding in backend.encode_batch(list(texts), add_special_tokens=False)
        ]
    encode = encoder(tokenizer)

    def counted(text: str, tokens: list[int]) -> list[int]:
        words = decode(tokenizer, [[token] for token in tokens])
        return [min(end, len(text)) for end in accumulate(map(len, words))]

    return lambda texts: [
        (tokens, counted(text, tokens)) for text, tokens in zip(texts, encode(texts), strict=True)
    ]


def plain_backend(tokenizer: PreTrainedTokenizerFast) -> Any:
    """Return a copy of a tokenizer's compiled backend without truncation and padding, for which its
    file may ask.
    """
    backend = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    return backend


def decode(
    tokenizer: PreTrainedTokenizerBase, tokens: np.ndarray | Sequence[Sequence[int]]
) -> list[str]:
    """Return the texts of windows, n rows of token ids.

    An embedding may have more rows than the tokenizer has tokens. Such tokens have no text and
    leave nothing in it, whichever kind of tokenizer it is.
    """
    rows = tokens.tolist() if isinstance(tokens, np.ndarray) else [list(row) for row in tokens]
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        # Without a compiled backend, such a token is None instead of a text.
        known = set(tokenizer.get_vocab().values())
        rows = [[token for token in row if token in known] for row in rows]
    # Of no windows `batch_decode` makes one empty text.
    return tokenizer.batch_decode(rows, clean_up_tokenization_spaces=False) if rows else []


def has_text(tokenizer: PreTrainedTokenizerBase, tokens: np.ndarray) -> np.ndarray:
    """Return whether the tokenizer has every token of a window (n, T), bool (n,)."""
    known = np.fromiter(tokenizer.get_vocab().values(), np.int64)
    inside: np.ndarray = np.isin(tokens, known)  # (n, T)
    return np.all(inside, axis=1)


def refuse_half_characters(texts: Sequence[str], rows: Iterable[object], name: str) -> None:
    """Refuse texts with lone surrogates, which Python's strings can hold and UTF-8 cannot.

    Args:
        texts: n of them.
        rows: what the message calls each of them.
        name: what the message calls all of them.

    Raises:
        EngramError: a text holds one.
    """
    for row, text in zip(rows, texts, strict=True):
        if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
            raise EngramError(
                f"{name}: row {row} holds half a character (a lone surrogate), which no tokenizer "
                f"reads; remove or replace it"
            )

"""Texts to tokens and back, as the corpus is read: no special tokens added, nothing cut, nothing
tidied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast


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


def plain_backend(tokenizer: PreTrainedTokenizerFast) -> Any:
    """Return a copy of a tokenizer's compiled backend without truncation and padding, for which its
    file may ask.
    """
    backend = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    return backend


def decode(tokenizer: PreTrainedTokenizerBase, tokens: np.ndarray) -> list[str]:
    """Return the texts of windows (n, T)."""
    # Of no windows `batch_decode` makes one empty text.
    return (
        tokenizer.batch_decode(tokens.tolist(), clean_up_tokenization_spaces=False)
        if len(tokens)
        else []
    )

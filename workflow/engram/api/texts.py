"""What the front door accepts as texts: strings or tokens, in lists, arrays, series or frames."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerBase

from engram.io.errors import EngramError
from engram.lm.tokens import encoder, refuse_half_characters

SHORT = ("error", "drop")


class DroppedTexts(UserWarning):
    """Says how many texts were too short and left out."""


@dataclass(frozen=True)
class Windows:
    """Texts as windows of tokens of one length."""

    tokens: np.ndarray
    """Token ids, int64 (n, prefix + suffix)."""
    index: pd.Index
    """The name of every row: the index of a frame or series, else its position in the list."""
    columns: pd.DataFrame
    """The other columns of a frame, row by row; without columns for other inputs."""

    def __len__(self) -> int:
        return len(self.tokens)


def read_windows(
    texts: Any,
    tokenizer: PreTrainedTokenizerBase,
    prefix: int,
    suffix: int,
    *,
    short: str = "error",
    name: str = "texts",
) -> Windows:
    """Return the first prefix + suffix tokens of every text.

    Texts are tokenized without special tokens, as the studies read their corpora.

    Args:
        texts: a list, array or Series of texts, or of token ids: one sequence per text, or an
            integer array (n, T); or a DataFrame with a column `tokens` or `text` (`tokens` is taken
            where it has both).
        tokenizer: of the model.
        prefix: tokens that prompt the model, at least 1.
        suffix: tokens that it is to reproduce, at least 1.
        short: what happens to a text of fewer tokens: `error` refuses it, `drop` leaves it out and
            warns with the number of texts left out.
        name: what messages call the texts.

    Raises:
        EngramError: another kind of input, no text at all, or a text that is too short; the message
            names the row.
    """
    if short not in SHORT:
        raise EngramError(f"short: {short!r}; choose {' or '.join(SHORT)}")
    for key, value in (("prefix", prefix), ("suffix", suffix)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise EngramError(f"{key}: {value!r}; give a number of tokens, 1 or more")
    items, index, columns = _items(texts, name)
    if not len(items):
        raise EngramError(f"{name}: empty; give at least one text")
    sequences = _sequences(items, index, tokenizer, name)
    length = prefix + suffix
    kept = np.array([len(sequence) >= length for sequence in sequences])
    if not kept.all():
        row, tokens = index[int(kept.argmin())], len(sequences[int(kept.argmin())])
        if short == "error":
            raise EngramError(
                f"{name}: row {row} has {tokens} tokens, prefix + suffix need {length}; leave it "
                f"out, or pass short='drop' to drop such rows"
            )
        if not kept.any():
            raise EngramError(f"{name}: all {len(kept)} rows have fewer than {length} tokens")
        warnings.warn(
            f"{name}: dropped {(~kept).sum()} of {len(kept)} rows with fewer than {length} tokens, "
            f"the first is row {row}",
            DroppedTexts,
            stacklevel=3,
        )
    windows = [
        np.asarray(sequence[:length], np.int64)
        for sequence, whole in zip(sequences, kept, strict=True)
        if whole
    ]
    return Windows(np.stack(windows), index[kept], columns[kept])


def _items(texts: Any, name: str) -> tuple[Sequence[Any], pd.Index, pd.DataFrame]:
    """Return the texts one by one, the names of their rows, and the columns next to them."""
    if isinstance(texts, pd.DataFrame):
        column = next((key for key in ("tokens", "text") if key in texts), None)
        if column is None:
            raise EngramError(
                f"{name}: a DataFrame needs a column tokens or text, this one has "
                f"{', '.join(map(str, texts.columns)) or 'none'}"
            )
        others = texts.drop(columns=["tokens", "text"], errors="ignore")
        return texts[column].tolist(), texts.index, others
    if isinstance(texts, pd.Series):
        return texts.tolist(), texts.index, pd.DataFrame(index=texts.index)
    if isinstance(texts, str | bytes | dict | set) or not hasattr(texts, "__len__"):
        raise EngramError(
            f"{name}: one {type(texts).__name__}; give a list of texts, an array of tokens (n, T), "
            f"or a DataFrame with a column tokens or text"
        )
    if not isinstance(texts, Sequence):  # an array of numpy or torch
        array = np.asarray(texts)
        if array.ndim != 2 and not (array.ndim == 1 and array.dtype.kind in "OUT"):
            raise EngramError(
                f"{name}: an array of shape {array.shape}; give tokens as (texts, tokens)"
            )
        texts = list(array)
    index = pd.RangeIndex(len(texts))
    return texts, index, pd.DataFrame(index=index)


def _sequences(
    items: Sequence[Any], index: pd.Index, tokenizer: PreTrainedTokenizerBase, name: str
) -> list[Any]:
    """Return the token ids of every item.

    Raises:
        EngramError: an item is neither text nor tokens, or is not what the first one is.
    """
    as_text = isinstance(items[0], str)
    for row, item in zip(index, items, strict=True):
        if isinstance(item, str) is not as_text:
            first, kind = "text" if as_text else "tokens", type(item).__name__
            raise EngramError(f"{name}: row {row} is {_a(kind)}, row {index[0]} is {first}")
        if not as_text:
            _check_tokens(item, row, name)
    if not as_text:
        return list(items)
    refuse_half_characters(items, index, name)
    return encoder(tokenizer)(items)


def _check_tokens(item: Any, row: Any, name: str) -> None:
    """Refuse what is not a sequence of token ids."""
    if not hasattr(item, "__len__") or isinstance(item, bytes | dict | set):
        raise EngramError(
            f"{name}: row {row} is {_a(type(item).__name__)}; give text or a sequence of token ids"
        )
    try:
        array = np.asarray(item)
    except (ValueError, TypeError):  # a list of lists of different lengths
        array = np.empty(1, object)
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        raise EngramError(
            f"{name}: row {row} is not a sequence of whole numbers; give text or token ids"
        )


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"

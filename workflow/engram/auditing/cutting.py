"""Windows cut from documents in memory; a study has `engram.sources.corpus` cut them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from engram.auditing.documents import Document
from engram.io.errors import EngramError
from engram.windows.duplicates import suffix_occurrences


def cut_windows(
    documents: Sequence[Document], prefix: int, suffix: int, stride: int
) -> pd.DataFrame:
    """Return all windows that begin at multiples of the stride.

    Returns:
        sequence_id (from 0), document, offset (tokens), tokens (prefix + suffix), text, and
        sequence_duplicates: how often the suffix occurs in the documents, at any offset.

    Raises:
        EngramError: no document has as many tokens as a window.
    """
    length = prefix + suffix
    offsets = [np.arange(0, len(each.tokens) - length + 1, stride) for each in documents]
    parts = [
        each.tokens[own[:, None] + np.arange(length)]
        for each, own in zip(documents, offsets, strict=True)
    ]
    if not sum(map(len, parts)):
        raise EngramError(
            f"texts: none has {length} tokens; give a smaller prefix or suffix, or longer texts"
        )
    tokens = np.concatenate(parts)  # (n, T)
    stream = np.concatenate([each.tokens for each in documents])
    starts = np.cumsum([0, *(len(each.tokens) for each in documents[:-1])])
    return pd.DataFrame(
        {
            "sequence_id": np.arange(len(tokens)),
            "document": np.repeat([each.name for each in documents], list(map(len, parts))),
            "offset": np.concatenate(offsets),
            "tokens": list(tokens),
            "text": [
                each.span(start, start + length)
                for each, own in zip(documents, offsets, strict=True)
                for start in own.tolist()
            ],
            "sequence_duplicates": suffix_occurrences(tokens[:, prefix:], stream, starts),
        }
    )

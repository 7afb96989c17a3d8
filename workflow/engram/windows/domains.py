"""What domain a window's text belongs to, by rules that anyone can check.

The first rule that holds decides: `licence`, a word of licences and notices; `code`, the label
`is_code`; `structured`, less than 60 % letters among the characters that are not white space, as in
tables, lists of numbers and markup; `prose`, everything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

LETTERS = 0.6
"""Least share of letters in prose."""
_LICENCE = re.compile(
    r"copyright|licen[cs]e|warrant(y|ies)\b|all rights reserved|permission is hereby|redistribut",
    re.IGNORECASE,
)


def domains(texts: Iterable[str], is_code: np.ndarray) -> np.ndarray:
    """Return the domain of each text, object (n,).

    Args:
        texts: n texts.
        is_code: whether each is code, bool (n,).
    """
    return np.array(
        [_domain(text, bool(code)) for text, code in zip(texts, is_code, strict=True)], object
    )


def _domain(text: str, is_code: bool) -> str:
    if _LICENCE.search(text):
        return "licence"
    if is_code:
        return "code"
    characters = [character for character in text if not character.isspace()]
    letters = sum(map(str.isalpha, characters))
    return "prose" if letters >= LETTERS * max(1, len(characters)) else "structured"

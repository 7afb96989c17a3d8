"""Code or natural language: an offline stand-in for the study's text classifier."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from engram.io.errors import EngramError

METHOD = "offline"
"""How this module finds `is_code`; callers record it, since the study's column comes from a
fastText model.
"""

FEATURES: dict[str, tuple[re.Pattern[str], int]] = {
    "statement or block ends the line": (re.compile(r"[;{}]$", re.MULTILINE), 3),
    "keyword opens the line": (
        re.compile(
            r"^[ \t]*[#@]?(?:include|define|ifdef|ifndef|endif|import|def|class|from"
            r"|return|if|for|while|else|elif|elsif|try"
            r"|except|raise"
            r"|throw|public|private|protected|static|const|var|let|function|struct|typedef|enum|void|int|char|unsigned|double|my|our|sub"
            r"|use|require|package|namespace|echo|export|fi|done|end|local|impl|pub|fn|switch|case|break|set|foreach|unless|print|printf"
            r"|SELECT|INSERT|CREATE)\b",
            re.MULTILINE,
        ),
        2,
    ),
    "assignment or operator": (
        re.compile(r"[\w\])] ?[-+*/|&:]?= ?[^=\s]|[=!]==?|=[\"']|->|=>|::|&&|\|\|"),
        1,
    ),
    "compound name or variable": (re.compile(r"[A-Za-z0-9]_[A-Za-z0-9]|[a-z][A-Z]|\$\w"), 1),
    "markup tag": (re.compile(r"</?[a-zA-Z][^<>\n]*>"), 1),
    "indented line": (re.compile(r"^(?:\t|  +)\S", re.MULTILINE), 1),
    "LaTeX command": (re.compile(r"\\[a-z]+\{"), 4),
    "function word of English": (
        re.compile(
            r"\s(?:a|an|and|are|as|at|be|been|but|by|can|had|has|have|he|his|in|is|it|its|may|not|of|on|or|she|that|the|they|this|to|was|we"
            r"|were|which|will|with|would|you|your)\b"
        ),
        -1,
    ),
}
"""Signs of code and natural language, with points for each occurrence: positive for code."""

MOST_COUNTED = 5
"""Further occurrences of a feature do not count, so that no single one decides: a text has -5
(prose) to 65 (code) points.
"""

CODE_POINTS = 4
"""A text with at least so many points is code."""


def is_code(texts: Sequence[str]) -> np.ndarray:
    r"""Return whether each text is code rather than natural language.

    The study takes a text for code where the fastText model
    `kenhktsui/code-natural-language-fasttext-classifier` says so or `\usepackage{` occurs. That
    model has to be downloaded; this classifier needs nothing but the text. It adds the points of
    `FEATURES` and compares the sum with `CODE_POINTS`; `\usepackage{` always decides for code, as
    in the study. Markup, style sheets and data formats count as code. Natural language is judged as
    English.

    The points are the weights of a logistic regression on windows of 230 characters (about 64
    tokens), rounded. Share of windows labelled rightly, in files that the regression did not see
    (the threshold was set in sight of them): 99 % of Python's standard library without docstrings
    and comments (310 windows), 98 % of its docstrings (310); 95 % of 17 other languages and formats
    without comments (2,838; the least, 66 %, of YAML and TOML), 94 % of manual pages, README files,
    licences and documentation without their code blocks (1,278), as means over the kinds. At 150
    characters these are 95, 98, 93 and 95 %.

    Args:
        texts: n texts of some 64 tokens.

    Returns:
        (n,) bool.

    Raises:
        EngramError: an entry is no text.
    """
    refuse_gaps(texts)
    return np.array(["\\usepackage{" in text or _reaches(text) for text in texts], dtype=bool)


def refuse_gaps(texts: Sequence[str]) -> None:
    """Check that every entry is a text.

    Raises:
        EngramError: one is not.
    """
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise EngramError(
                f"text: row {row} holds {text!r}; every row needs its text, decode it from the "
                f"tokens"
            )


def _reaches(text: str) -> bool:
    """Return whether a text has `CODE_POINTS`; what cannot change the answer any more is not
    counted.
    """
    total = 0
    for pattern, points in _POSITIVE:
        total += points * min(len(pattern.findall(text)), MOST_COUNTED)
        if total >= CODE_POINTS + _MOST_LOST:
            return True
    if total < CODE_POINTS:
        return False
    return (
        total
        + sum(
            points * min(len(pattern.findall(text)), MOST_COUNTED) for pattern, points in _NEGATIVE
        )
        >= CODE_POINTS
    )


_POSITIVE = [feature for feature in FEATURES.values() if feature[1] > 0]
_NEGATIVE = [feature for feature in FEATURES.values() if feature[1] < 0]
_MOST_LOST = -MOST_COUNTED * sum(points for _, points in _NEGATIVE)

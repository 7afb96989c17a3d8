"""Which classifier separates code from natural language: the study's fastText model where its file
is given, or the offline one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engram.io.errors import EngramError
from engram.windows import code_text

CODE = "__label__Code"
"""The label of the study's model, `kenhktsui/code-natural-language-fasttext-classifier`, for code;
its other one is NL.
"""

LATEX = "\\usepackage{"
"""What makes a text code for the study, whatever the model says."""


@dataclass(frozen=True)
class CodeClassifier:
    """Finds `is_code` for texts."""

    file: str = ""
    """A fastText model with the label `CODE`; empty for the classifier of
    `engram.windows.code_text`.
    """
    method: str = code_text.METHOD
    """How it is named in the metadata of labels."""

    def is_code(self, texts: Sequence[str]) -> np.ndarray:
        r"""Return whether each text is code rather than natural language, bool (n,).

        As the study's code asks its model: line feeds in a row become a blank, the likeliest label
        decides, and a text with `\usepackage{` is code in any case.

        Raises:
            EngramError: an entry is no text; the file is no model of code and natural language; the
                package is missing.
        """
        if not self.file:
            return code_text.is_code(texts)
        code_text.refuse_gaps(texts)
        lines = [re.sub("\n+", " ", text) for text in texts]
        likeliest, _ = _fasttext_model(self.file).predict(lines)
        return np.array(
            [
                labels[0] == CODE or LATEX in line
                for labels, line in zip(likeliest, lines, strict=True)
            ],
            dtype=bool,
        )


OFFLINE = CodeClassifier()
"""Needs nothing but the text."""


@functools.cache
def _fasttext_model(file: str) -> Any:
    """Return the model, read once a process."""
    try:
        import fasttext
    except ImportError:
        raise EngramError(
            f"code_classifier: {file} is read by the package fasttext-community, which is not "
            f"installed; install Engram with its extra "
            "[fasttext], or leave `code_classifier` out for the offline classifier"
        ) from None
    if not Path(file).is_file():
        raise EngramError(f"code_classifier: {file}: no such file")
    try:
        model = fasttext.load_model(file)
        labels = model.labels
    except (ValueError, RuntimeError, MemoryError) as error:
        raise EngramError(
            f"code_classifier: {file}: no readable fastText model ({error})"
        ) from None
    if CODE not in labels:
        raise EngramError(
            f"code_classifier: {file}: its labels are {', '.join(labels[:5]) or 'none'}; {CODE} "
            f"must be one of them"
        )
    return model

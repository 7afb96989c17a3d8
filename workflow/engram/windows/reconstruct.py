"""Repeating and incrementing text: what a model can reconstruct from a pattern without having
stored it.

Both predicates follow EleutherAI's semantic-memorization (Prashanth et al., arXiv 2406.17746),
which computed the columns `is_repeating` and `is_incrementing` of the study's data. They differ
from its code where that is plainly a slip: there, three falling or concave numbers count as
incrementing, and a step seen at a period that failed is still taken for the step of a later one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from engram.io.errors import EngramError

DIGITS = re.compile(r"([0-9]+)")
ANY_DIGITS = re.compile(r"\d+")
QUOTING = re.compile(r"""\\[nx]|[\\'"]""")


def reconstruct_labels(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels that make a memorized sample "Reconstruct".

    Args:
        texts: n texts.

    Returns:
        is_repeating, is_incrementing: (n,) bool each. No text is both: an incrementing one is not
            tested for repetition.

    Raises:
        EngramError: an entry is no text.
    """
    repeating = np.zeros(len(texts), dtype=bool)
    incrementing = np.zeros(len(texts), dtype=bool)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise EngramError(
                f"text: row {row} holds {text!r}; every row needs its text, decode it from the "
                f"tokens"
            )
        incrementing[row] = is_incrementing(text)
        repeating[row] = not incrementing[row] and is_repeating(text)
    return repeating, incrementing


def is_incrementing(text: str) -> bool:
    """Return whether the text counts: constant pieces between integers that advance by constant
    steps.

    The text is cut into integers and strings (see `items`). The first and the last item may be cut
    off by the window and are ignored when there are more than four. What is left must have a period
    of T items, T at most half of them, such that items T apart are equal strings or are integers
    with one step throughout; each of the T phases has its own step. At least one step is not
    zero, and integers of some phase occur three times, since two of them always have "one step".
    The shortest period without any step decides that the text repeats and does not count.
    """
    # Three integers are needed, each of which holds a digit of some script: most prose ends here.
    if len(ANY_DIGITS.findall(text)) < 3:
        return False
    pieces = items(text)
    if len(pieces) > 4:
        pieces = pieces[1:-1]
    # Strings are themselves, integers all alike: a period of the frame is a period of this list.
    frame = [None if isinstance(piece, int) else piece for piece in pieces]
    for period in range(1, len(pieces) // 2 + 1):
        if frame[period:] != frame[:-period]:
            continue
        steps = _steps(pieces, period)
        if steps is None:
            continue
        if not any(steps.values()):
            return False
        if any(position + 2 * period < len(pieces) for position in steps):
            return True
    return False


def _steps(pieces: list[int | str], period: int) -> dict[int, int] | None:
    """Return step of the integers of each phase, by the phase's first position; None where a phase
    has more than one.
    """
    steps: dict[int, int] = {}
    for position in range(period, len(pieces)):
        piece, earlier = pieces[position], pieces[position - period]
        if (
            isinstance(piece, int)
            and isinstance(earlier, int)
            and steps.setdefault(position % period, piece - earlier) != piece - earlier
        ):
            return None
    return steps


def items(text: str) -> list[int | str]:
    """The text as integers and strings, cut at white space and between digits and other characters.

    A word between white space that Python reads as an integer literal (`0x1f`, `0b11`, `1_000`,
    `-5`) is replaced by its decimal form first; digits inside longer words (`0x1f,`) are decimal. A
    minus sign is its own string. Quotes, backslashes and the escapes `\\n` and `\\x` are
    removed.
    """
    pieces: list[int | str] = []
    for word in text.split():
        # Every second part is a match of DIGITS.
        for index, part in enumerate(DIGITS.split(QUOTING.sub("", _decimal(word)))):
            if part:
                pieces.append(_integer(part) if index % 2 else part)
    return pieces


def _decimal(word: str) -> str:
    """Return the decimal form of a word that is an integer literal, any other word as it is."""
    try:
        return str(int(word, 0))
    except ValueError:
        return word


def _integer(digits: str) -> int | str:
    """Return the number that a run of digits stands for; a run beyond Python's limit (4,300 digits)
    as it is.
    """
    try:
        return int(digits)
    except ValueError:
        return digits


def is_repeating(text: str) -> bool:
    """Return whether the characters repeat exactly with a period of at most half of the text.

    As for `is_incrementing`, the first and the last character are ignored when there are more than
    four. Fewer than four characters repeat nothing.
    """
    if len(text) < 4:
        return False
    if len(text) > 4:
        text = text[1:-1]
    half = len(text) // 2
    # A period of at most half makes the text's first half occur a second time: nearly every text
    # ends here.
    return text.find(text[: len(text) - half], 1) != -1 and _shortest_period(text) <= half


def _shortest_period(text: str) -> int:
    """Return smallest p >= 1 with text[p:] == text[:-p], in linear time: the length less its
    longest border.
    """
    borders = [0] * len(text)  # longest proper prefix of text[: i + 1] that is also its suffix
    border = 0
    for position in range(1, len(text)):
        while border and text[position] != text[border]:
            border = borders[border - 1]
        if text[position] == text[border]:
            border += 1
        borders[position] = border
    return len(text) - border

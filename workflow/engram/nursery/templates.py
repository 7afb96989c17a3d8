"""Fresh template text: repetitions, counters, tables. Text that a language model can continue
without having seen it.

Each family is a function that yields the items of one endless template; `TemplateWriter` joins and
cuts them. The same seed gives the same text; texts of different draws practically never coincide.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

import numpy as np
from transformers import PreTrainedTokenizerFast

from engram.nursery.tokenizer import template_words

Words = Callable[[], str]

SEPARATORS = (", ", " ", "; ", " | ", "\n", ",\n    ", " - ", ":", "/", "\t")
COUNTERS = (
    "{w}{s}{n}",
    "{w}_{n}",
    "{w} {n}",
    "[{n}]",
    "({n}, '{w}')",
    "{w}[{n}]",
    "{n}",
    "{w}={n}",
    "'{w}{n}'",
    "{w}({n})",
)
ROWS = (
    "    {n}: '{w}',",
    "| {n} | {w} | {v} |",
    "({n}, '{w}', '{v}'),",
    "self.{w}_{n} = {v}",
    "{w}.{v}({n})",
    "def {w}_{n}(self): {v}",
)


def repeat(rng: random.Random, word: Words) -> Iterator[str]:
    """Return a chunk of one to eight words, again and again."""
    separator, end = rng.choice(SEPARATORS), rng.choice(SEPARATORS)
    chunk = separator.join(word() for _ in range(rng.randint(1, 8))) + end
    return itertools.repeat(chunk)


def copy(rng: random.Random, word: Words) -> Iterator[str]:
    """Return a longer list of words that differ, and the same list again: copying at a distance."""
    separator = rng.choice(SEPARATORS)
    chunk = separator.join(word() for _ in range(rng.randint(6, 14))) + rng.choice(
        ("\n", "\n\n", ".\n")
    )
    return itertools.repeat(chunk)


def counter(rng: random.Random, word: Words) -> Iterator[str]:
    """Return decimal numbers at a constant step in a constant frame."""
    frame, separator, name = rng.choice(COUNTERS), rng.choice(SEPARATORS), word()
    start, step = (
        rng.choice((rng.randint(0, 9), rng.randint(0, 99), rng.randint(0, 999))),
        rng.choice((1, 1, 1, 2, 5, 10)),
    )
    return (
        frame.format(w=name, s=separator, n=number) + separator
        for number in itertools.count(start, step)
    )


def hexadecimal(rng: random.Random, word: Words) -> Iterator[str]:
    """Return hexadecimal numbers at step one in a constant frame."""
    separator, width, start = rng.choice(SEPARATORS), rng.choice((2, 4)), rng.randint(0, 255)
    frame = rng.choice(("0x{n:0{k}x}", "'\\x{n:0{k}x}'", "{w} 0x{n:0{k}X}", "0x{n:0{k}X}: '{w}'"))
    name = word()
    return (
        frame.format(n=number, k=width, w=name) + separator for number in itertools.count(start)
    )


def table(rng: random.Random, word: Words) -> Iterator[str]:
    """Return the rows of constant columns with a running number."""
    row, name, value, start = rng.choice(ROWS), word(), word(), rng.randint(0, 99)
    return (row.format(n=number, w=name, v=value) + "\n" for number in itertools.count(start))


def interleaved(rng: random.Random, word: Words) -> Iterator[str]:
    """Return two counters with their own names and steps, in turn."""
    separator = rng.choice(SEPARATORS)
    lines = [(word(), rng.randint(0, 99), rng.choice((1, 1, 2))) for _ in range(2)]
    return (
        f"{name}{start + step * turn}{separator}"
        for turn in itertools.count()
        for name, start, step in lines
    )


FAMILIES: dict[str, Callable[[random.Random, Words], Iterator[str]]] = {
    family.__name__: family for family in (repeat, copy, counter, hexadecimal, table, interleaved)
}


class TemplateWriter:
    """Writes windows of fresh template text as tokens.

    Args:
        tokenizer: the model's tokenizer; its alphabetic pieces are the words.
        seed: the same seed gives the same sequence of windows.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
        self.tokenizer = tokenizer
        self.random = random.Random(seed)
        self.words = template_words(tokenizer)

    def word(self) -> str:
        """Return one to two vocabulary pieces, in one of the usual cases of identifiers."""
        pieces = [self.random.choice(self.words) for _ in range(self.random.choice((1, 1, 2)))]
        return self.random.choice(("_", "")).join(pieces)

    def text(self, family: str, characters: int) -> str:
        """Return at least `characters` of one template, beginning at an item."""
        items = FAMILIES[family](self.random, self.word)
        parts: list[str] = []
        length = 0
        while length < characters:
            parts.append(next(items))
            length += len(parts[-1])
        return "".join(parts)

    def windows(self, families: list[str], length: int) -> np.ndarray:
        """Return one window of `length` tokens per entry of `families`, cut at a random offset.

        Returns:
            tokens, (len(families), length) uint16.
        """
        characters = 12 * length  # more than any template of a small vocabulary needs
        texts = [self.text(family, characters) for family in families]
        encodings = self.tokenizer.backend_tokenizer.encode_batch(texts)
        rows = np.empty((len(families), length), dtype=np.uint16)
        for row, family, encoding in zip(rows, families, encodings, strict=True):
            ids, longer = encoding.ids, characters
            while len(ids) < length:  # long words that are single tokens
                longer *= 2
                ids = self.tokenizer.backend_tokenizer.encode(self.text(family, longer)).ids
            offset = self.random.randint(0, min(len(ids) - length, length // 2))
            row[:] = ids[offset : offset + length]
        return rows

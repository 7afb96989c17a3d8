"""Checks of a user's columns, value by value: errors name the file, row and column."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engram.io.errors import EngramError

WORDS = {"true": True, "false": False, "1": True, "0": False}
"""Flags as text files write them."""
ROUNDING = 1e-6
"""Difference that rounding may leave between a score and 0 or 1: more than float32 and six decimals
take away, less than one token of any suffix."""


@dataclass(frozen=True)
class Limits:
    """What windows a model can read."""

    model: str
    """The model, as messages name it."""
    vocabulary: int
    """Rows of its embedding: token ids are below it."""
    context: int | None
    """Most positions it can attend to; None where its configuration names no limit."""
    opening: tuple[int, ...] = ()
    """Special tokens that it reads in front of every window, as its folder records them."""


@dataclass(frozen=True)
class Place:
    """Where a batch of rows stands."""

    file: str
    """The file, as messages name it."""
    numbers: Sequence[int]
    """Number of every row of the batch."""
    unit: str = "row"
    """What is counted: rows from 0, the lines of a JSONL file or the objects of JSON from 1."""
    textual: bool = False
    """All values are text that is still to be parsed: a CSV file."""

    def refuse(self, row: int, name: str, what: str) -> NoReturn:
        """End with an error about one value; `row` counts from the batch's first."""
        raise EngramError(
            f"{self.file}: {self.unit} {self.numbers[int(row)]}, column {name}: {what}"
        )

    def refuse_type(self, name: str, found: pa.DataType, wanted: str) -> NoReturn:
        """End with an error about a whole column."""
        raise EngramError(f"{self.file}: column {name} has type {found}; it must hold {wanted}")


def integers(column: pa.ChunkedArray, name: str, place: Place) -> np.ndarray:
    """Return a column of whole numbers, int64 (n,)."""
    column = _typed(column, name, place, _is_whole, pa.int64(), int, "whole numbers")
    return column.to_numpy()


def counts(column: pa.ChunkedArray, name: str, place: Place) -> np.ndarray:
    """Return a column of whole numbers >= 0, int64 (n,)."""
    values = integers(column, name, place)
    if (values < 0).any():
        row = int(np.argmax(values < 0))
        place.refuse(row, name, f"{values[row]} is negative; it counts occurrences")
    return values


def scores(column: pa.ChunkedArray, name: str, place: Place) -> np.ndarray:
    """Return a column of fractions in [0, 1], float64 (n,), as the matched fraction of a suffix.

    A sum or a mean of floats can miss 0 or 1 by a rounding error, and everything that follows asks
    whether a score is 1: what lies within `ROUNDING` of 0 or 1 is that number.
    """
    values = _typed(column, name, place, _is_number, pa.float64(), float, "numbers").to_numpy()
    for bound in (0.0, 1.0):
        values = np.where(np.abs(values - bound) <= ROUNDING, bound, values)
    inside = (values >= 0) & (values <= 1)  # NaN is not inside
    if not inside.all():
        row = int(np.argmin(inside))
        place.refuse(
            row,
            name,
            f"{values[row]} is no fraction from 0 to 1; measure the score or drop the row",
        )
    return values


def numbers(column: pa.ChunkedArray, name: str, place: Place) -> np.ndarray:
    """Return a column of numbers of a typed file, float64 (n,); what is missing is NaN. Nothing is
    decided by such a column.
    """
    if not (_is_number(column.type) or pa.types.is_null(column.type)):
        place.refuse_type(name, column.type, "numbers")
    return pc.fill_null(column.cast(pa.float64()), float("nan")).to_numpy()


def flags(column: pa.ChunkedArray, name: str, place: Place) -> np.ndarray:
    """Return a column of true and false, bool (n,); in a CSV file 1 and 0 will do."""
    return _typed(
        column,
        name,
        place,
        pa.types.is_boolean,
        pa.bool_(),
        lambda text: WORDS[text.lower()],
        "true and false",
    ).to_numpy()


def texts(column: pa.ChunkedArray, name: str, place: Place) -> pa.ChunkedArray:
    """Return a column of text without gaps, as strings; of CSV, an empty field is an empty text."""
    if place.textual:
        column = pc.fill_null(column, "")
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        place.refuse_type(name, column.type, "text")
    _refuse_gaps(column, name, place)
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        for row, value in enumerate(column.cast(pa.large_binary())):
            try:
                value.as_py().decode()
            except UnicodeDecodeError as error:
                place.refuse(row, name, f"the text is not UTF-8 ({error.reason}); convert it")
        raise
    return column.cast(pa.string())


def windows(
    column: pa.ChunkedArray, name: str, place: Place, length: int, limits: Limits | None
) -> np.ndarray:
    """Return a column of token windows, int32 (n, length).

    Args:
        column: lists of integers; a CSV file writes them as `[5, 7, 9]` or `5 7 9`.
        length: tokens of every window, prefix + suffix.
        limits: the model's, where it is known; its vocabulary bounds the ids.

    Raises:
        EngramError: a gap, a window of another length, an id that is no integer, negative or
            outside the vocabulary, or windows most of which begin with the model's opening.
    """
    if place.textual:
        column = pa.chunked_array([_parsed_windows(column, name, place)])
    if not _is_list(column.type):
        place.refuse_type(name, column.type, "lists of token ids")
    _refuse_gaps(column, name, place)
    lengths = pc.list_value_length(column).to_numpy()
    if (lengths != length).any():
        row = int(np.argmax(lengths != length))
        place.refuse(
            row, name, f"the window has {lengths[row]} tokens; prefix + suffix are {length}"
        )
    ids = pc.list_flatten(column)
    if ids.null_count:
        place.refuse(int(np.argmax(ids.is_null().to_numpy())) // length, name, "a token is missing")
    if len(ids) and not pa.types.is_integer(ids.type):
        place.refuse_type(name, column.type, "lists of whole numbers, the token ids")
    tokens = ids.to_numpy().reshape(-1, length)  # (n, T)
    limit = min(limits.vocabulary if limits else np.iinfo(np.int32).max, np.iinfo(np.int32).max)
    outside = (tokens < 0) | (tokens >= limit)
    if outside.any():
        row, position = np.argwhere(outside)[0]
        owner = (
            f"the vocabulary of {limits.vocabulary} tokens of {limits.model}"
            if limits
            else "any vocabulary"
        )
        place.refuse(
            row,
            name,
            f"token {tokens[row, position]} is outside {owner}; it belongs to another model's "
            f"tokenizer",
        )
    if limits and limits.opening:
        twice = (tokens[:, : len(limits.opening)] == np.array(limits.opening)).all(axis=1)
        if 2 * twice.sum() > len(tokens):
            place.refuse(
                int(np.argmax(twice)),
                name,
                f"the window begins with token {limits.opening[0]}, which {limits.model} reads in "
                f"front of every window anyway; set `bos: false`, or leave it out of the table",
            )
    return tokens.astype(np.int32, copy=False)


def _typed(
    column: pa.ChunkedArray,
    name: str,
    place: Place,
    fits: Callable[[pa.DataType], bool],
    to: pa.DataType,
    parse: Callable[[str], Any],
    wanted: str,
) -> pa.ChunkedArray:
    """Return the column without gaps as type `to`; text, of which CSV files consist, is parsed."""
    _refuse_gaps(column, name, place)
    if place.textual:
        values = []
        for row, text in enumerate(column.to_pylist()):
            try:
                values.append(parse(text.strip()))
            except (ValueError, KeyError):
                place.refuse(row, name, f"{text!r:.60} is not one of {wanted}")
        column = pa.chunked_array([_array(values, to, name, place)])
    if len(column) and not fits(column.type):
        place.refuse_type(name, column.type, wanted)
    try:
        return column.cast(to)
    except pa.ArrowInvalid:
        raise EngramError(
            f"{place.file}: column {name} holds a number beyond the range of {to}"
        ) from None


def _array(values: list[Any], to: pa.DataType, name: str, place: Place) -> pa.Array:
    """Return the values as an array, with an error for a number that is too large."""
    try:
        return pa.array(values, to)
    except (OverflowError, pa.ArrowInvalid):
        raise EngramError(
            f"{place.file}: column {name} holds a number beyond the range of {to}"
        ) from None


def _parsed_windows(column: pa.ChunkedArray, name: str, place: Place) -> pa.Array:
    """Return token windows that a CSV file holds as text."""
    rows: list[list[int]] = []
    for row, text in enumerate(column.to_pylist()):
        try:
            ids = (
                json.loads(text)
                if text is not None and text.lstrip().startswith("[")
                else [int(part) for part in re.split(r"[\s,]+", text.strip())]
            )
            rows.append(ids)
            if not all(type(token) is int for token in ids):
                raise ValueError
        except (ValueError, AttributeError):
            place.refuse(
                row,
                name,
                f"{text!r:.60} is no list of whole numbers; write the token ids as [5, 7, 9] or 5 "
                f"7 9",
            )
    return _array(rows, pa.list_(pa.int64()), name, place)


def _refuse_gaps(column: pa.ChunkedArray, name: str, place: Place) -> None:
    """End with an error where a value is missing."""
    if column.null_count:
        place.refuse(int(np.argmax(column.is_null().to_numpy())), name, "the value is missing")


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _is_whole(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale <= 0)


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )

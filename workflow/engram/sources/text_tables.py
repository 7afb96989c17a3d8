"""Tables as text: CSV, JSON lines and JSON, read row by row, so that the memory is bounded.

Files that end in .gz are decompressed on the way. CSV is read by Python's own parser. Arrow's, in
the mode that allows line feeds within quotes, loses one where a block of 1 MiB ends between a
carriage return and its line feed, and refuses a first row that is longer than a block.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from engram.io.errors import EngramError, reason

AT_ONCE = 1 << 26
"""Characters of a batch of rows after which it is passed on."""
CHUNK = 1 << 20
"""Characters of a JSON file that are read at a time."""
GZIP = ".gz"
"""Ending of compressed text files."""
_SPACE = re.compile(r"[ \t\r\n]*")
_MISREAD = (ValueError, RecursionError)
"""What `json` raises."""


@dataclass(frozen=True)
class Batch:
    """Some rows of a file."""

    table: pa.Table
    numbers: Sequence[int]
    """The number of every row: CSV from 0, lines of JSONL and objects of JSON from 1."""


def csv_batches(path: Path, columns: Sequence[str], rows: int) -> Iterator[Batch]:
    """Yield columns of a CSV file as text; a field without any character is missing.

    Raises:
        EngramError: the file is not UTF-8 or CSV, lacks a column, or a row has another number of
            fields than the header.
    """
    csv.field_size_limit(sys.maxsize)
    with opened(path) as file:
        lines = _csv_rows(path, file)
        header = next(lines, None)
        if header is None:
            raise EngramError(f"{path}: the CSV file is empty; it needs a line of column names")
        require(path, columns, header)
        places = [header.index(name) for name in columns]
        picked = (_picked(path, n, row, header, places) for n, row in enumerate(lines))
        for numbers, part in _batches(picked, rows):
            found = zip(*part, strict=True)
            arrays = [pa.array([text or None for text in column], pa.string()) for column in found]
            yield Batch(pa.table(dict(zip(columns, arrays, strict=True))), numbers)


def json_lines(
    path: Path, columns: Sequence[str], rows: int, nested: Sequence[str] = ()
) -> Iterator[Batch]:
    """Yield columns of a JSONL file, and fields of the objects in them (`nested_value`); blank
    lines are passed over.

    Raises:
        EngramError: the file is not UTF-8 or JSON, a line is not an object, or lacks a column.
    """
    with opened(path) as file:
        lines = ((number, line) for number, line in enumerate(file, 1) if line.strip())
        values = ((n, _loaded(path, n, line), len(line)) for n, line in lines)
        yield from _objects(path, "line", columns, rows, values, nested)


def json_objects(
    path: Path, columns: Sequence[str], rows: int, nested: Sequence[str] = ()
) -> Iterator[Batch]:
    """Yield columns of a JSON file, and fields of the objects in them (`nested_value`): one array
    of objects, or objects one after another, each with one row.

    Raises:
        EngramError: the file is not UTF-8 or JSON, an item is not an object, or lacks a column.
    """
    with opened(path) as file:
        yield from _objects(path, "object", columns, rows, _json_values(path, file), nested)


def nested_value(where: str, value: Any, name: str) -> Any:
    """Return a field of a row by its name, `meta.duplicates`: the column, and behind each dot a key
    of the object there. An object may be written as a text of JSON.

    Args:
        where: file and row, as messages name them.
        value: what the column holds.
        name: of the field; without a dot it is the column itself.

    Raises:
        EngramError: there is no object, or it lacks the key.
    """
    for key in name.split(".")[1:]:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except _MISREAD as error:
                raise EngramError(
                    f"{where}, field {name}: the text is not JSON ({reason(error)})"
                ) from None
        if not isinstance(value, dict) or key not in value:
            raise EngramError(f"{where}, field {name}: there is no key {key} in {value!r:.60}")
        value = value[key]
    return value


@contextmanager
def opened(path: Path, newline: str = "") -> Iterator[IO[str]]:
    """Open a file of UTF-8 text, without its byte order mark and with its own line ends; one whose
    name ends in .gz is decompressed.

    Args:
        path: the file.
        newline: what ends a line that is read; empty for any of the three line ends.

    Raises:
        EngramError: it is missing, cannot be read, or what is read of it is not UTF-8.
    """
    try:
        with (
            cast(IO[str], gzip.open(path, "rt", encoding="utf-8-sig", newline=newline))
            if path.suffix.lower() == GZIP
            else path.open(encoding="utf-8-sig", newline=newline)
        ) as file:
            yield file
    except UnicodeDecodeError as error:
        raise EngramError(
            f"{path}: not UTF-8 text ({error.reason}); convert it, or leave it out"
        ) from None
    except FileNotFoundError:
        raise EngramError(f"{path}: no such file") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise EngramError(
            f"{path}: no whole gzip file ({reason(error).rstrip('.')}); copy or download it again"
        ) from None
    except OSError as error:
        raise EngramError(f"{path}: cannot be read ({error.strerror})") from None


def require(path: Path, columns: Sequence[str], present: Sequence[str]) -> None:
    """Check that a file has columns.

    Raises:
        EngramError: one is missing, or two have its name.
    """
    if missing := [name for name in columns if name not in present]:
        raise EngramError(
            f"{path}: column {', '.join(missing)} is missing; the file has {', '.join(present)}"
        )
    if twice := [name for name in columns if list(present).count(name) > 1]:
        raise EngramError(f"{path}: two columns are called {twice[0]}; rename one")


def _csv_rows(path: Path, file: IO[str]) -> Iterator[list[str]]:
    """Yield the header and the rows of a CSV file, without blank lines."""
    lines = csv.reader(file, strict=True)
    try:
        yield from (fields for fields in lines if fields)
    except csv.Error as error:
        raise EngramError(
            f"{path}: no readable CSV file (line {lines.line_num}: {error}); quote fields that "
            f"hold commas, quotes or line ends"
        ) from None


def _picked(
    path: Path, number: int, row: list[str], header: list[str], places: Sequence[int]
) -> tuple[int, list[str], int]:
    """Return a row's number, its chosen fields and their characters."""
    if len(row) != len(header):
        raise EngramError(
            f"{path}: row {number} has {len(row)} fields, the header {len(header)}; quote fields "
            f"that hold commas"
        )
    fields = [row[place] for place in places]
    return number, fields, sum(map(len, fields))


def _batches(items: Iterable[tuple[int, Any, int]], rows: int) -> Iterator[tuple[list[int], list]]:
    """Yield numbered items with their sizes, as batches of at most `rows` and about `AT_ONCE`."""
    numbers: list[int] = []
    batch: list[Any] = []
    size = 0
    for number, item, characters in items:
        numbers.append(number)
        batch.append(item)
        size += characters
        if len(batch) == rows or size >= AT_ONCE:
            yield numbers, batch
            numbers, batch, size = [], [], 0
    if batch:
        yield numbers, batch


def _objects(
    path: Path,
    unit: str,
    columns: Sequence[str],
    rows: int,
    values: Iterable[tuple[int, Any, int]],
    nested: Sequence[str] = (),
) -> Iterator[Batch]:
    """Yield the columns and nested fields of parsed objects."""
    needed = [*columns, *(name.split(".")[0] for name in nested)]
    for numbers, batch in _batches(values, rows):
        for number, row in zip(numbers, batch, strict=True):
            if not isinstance(row, dict):
                kind = type(row).__name__
                raise EngramError(f"{path}: {unit} {number} is {kind}, not an object of columns")
            if missing := [name for name in needed if name not in row]:
                raise EngramError(
                    f"{path}: {unit} {number} has no {', '.join(missing)}; it has {', '.join(row)}"
                )
        arrays = {
            name: _column(path, unit, name, numbers, [row[name] for row in batch])
            for name in columns
        }
        for name in nested:
            first = name.split(".")[0]
            fields = [
                nested_value(f"{path}: {unit} {number}", row[first], name)
                for number, row in zip(numbers, batch, strict=True)
            ]
            arrays[name] = _column(path, unit, name, numbers, fields)
        yield Batch(pa.table(arrays), numbers)


def _column(
    path: Path, unit: str, name: str, numbers: Sequence[int], values: Sequence[Any]
) -> pa.Array:
    """Return one column of parsed objects; an error names the first that differs in type."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        known = next((value for value in values if value is not None), None)
        for number, value in zip(numbers, values, strict=True):
            where = f"{path}: {unit} {number}, column {name}"
            try:
                pa.array([value])
                pa.array([known, value])
            except UnicodeEncodeError as error:
                raise EngramError(
                    f"{where}: the text holds half a character (a lone surrogate, position "
                    f"{error.start}), which UTF-8 cannot store; remove or replace it"
                ) from None
            except (pa.ArrowException, OverflowError):
                raise EngramError(
                    f"{where}: {value!r:.60} is unlike the values before it"
                ) from None
        raise EngramError(f"{path}: column {name} holds values of different kinds") from None


def _loaded(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except _MISREAD as error:
        raise EngramError(f"{path}: line {number} is not JSON ({reason(error)})") from None


class _JsonText:
    """JSON that is read in chunks: no more than one value and a chunk are in memory."""

    def __init__(self, path: Path, file: IO[str]) -> None:
        self.number = 0
        """Values that were read."""
        self._path, self._file = path, file
        self._held, self._at = file.read(CHUNK), 0
        self._decoder = json.JSONDecoder()

    def sign(self) -> str:
        """Pass over white space, and return the character behind it; empty at the end."""
        self._pass_space()
        while self._at == len(self._held) and self._more():
            self._pass_space()
        return self._held[self._at : self._at + 1]

    def skip(self) -> None:
        """Pass over one character."""
        self._at += 1

    def value(self) -> tuple[int, Any, int]:
        """Read a value, and return its number, itself and its characters.

        Raises:
            EngramError: there is none.
        """
        self.sign()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._held, self._at)
                break
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos >= len(self._held) - 16
                if not cut or not self._more():
                    raise self.wrong(reason(error)) from None
            except RecursionError as error:
                raise self.wrong(reason(error)) from None
        characters = end - self._at
        self.number, self._at = self.number + 1, end
        return self.number, value, characters

    def wrong(self, what: str) -> EngramError:
        """Return the error of what is read next."""
        return EngramError(f"{self._path}: not JSON behind object {self.number} ({what})")

    def _pass_space(self) -> None:
        self._at = _SPACE.match(self._held, self._at).end()  # type: ignore[union-attr]

    def _more(self) -> bool:
        """Read on; return whether there was anything left."""
        self._held, self._at = self._held[self._at :], 0
        read = self._file.read(max(CHUNK, len(self._held)))
        self._held += read
        return bool(read)


def _json_values(path: Path, file: IO[str]) -> Iterator[tuple[int, Any, int]]:
    """Yield the items of a JSON array, or consecutive JSON values, each with its number and
    characters.
    """
    text = _JsonText(path, file)
    if text.sign() == "[":
        text.skip()
        yield from _json_items(text)
        return
    while text.sign():
        yield text.value()


def _json_items(text: _JsonText) -> Iterator[tuple[int, Any, int]]:
    """Yield the items of an array behind its opening bracket."""
    while (sign := text.sign()) != "]":
        if not sign:
            raise text.wrong("the closing bracket is missing")
        if text.number:
            if sign != ",":
                raise text.wrong("a comma is missing")
            text.skip()
        yield text.value()
    text.skip()
    if text.sign():
        raise text.wrong("text behind the closing bracket")

"""The user's documents: text files, and JSONL or parquet tables with a column of texts."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engram.io.errors import EngramError
from engram.sources import checks
from engram.sources.files import READERS, read_rows

PIECE = 1 << 20
"""Characters of a document that are tokenized at a time."""

TEXTS_AT_ONCE = 1 << 10
"""Rows of a table of documents that are in memory at a time; a document can be long."""


@dataclass(frozen=True)
class Piece:
    """A document, or a part of a long one."""

    document: str
    """The document's permanent name: the file below the folder, and the row where the file is a
    table.
    """
    text: str
    opens: bool
    """Whether a document begins here."""


def document_files(path: str | Path, pattern: str) -> list[tuple[Path, str]]:
    """The files of a corpus by name, each with its name below the folder; hidden ones are left out.

    Args:
        path: a file or a folder.
        pattern: of file names in the folder and the folders in it, for example `*.py`.

    Raises:
        EngramError: there are none.
    """
    root = Path(path)
    if root.is_file():
        return [(root, root.name)]
    if not root.is_dir():
        raise EngramError(f"{root}: no such file or folder")
    found = [(file, file.relative_to(root)) for file in root.rglob(pattern) if file.is_file()]
    files = sorted(
        (file, below.as_posix())
        for file, below in found
        if not any(part.startswith(".") for part in below.parts)
    )
    if not files:
        raise EngramError(f"{root}: the folder holds no {pattern} files")
    return files


def read_documents(file: Path, name: str, text_column: str) -> Iterator[Piece]:
    """The documents of one file, in pieces of about `PIECE` characters.

    A text file is one document. A long document is parted behind a line feed that no white space
    follows, where tokenizers that part words from white space begin a token in any case.

    Args:
        file: a JSONL, CSV or parquet table, or else a text file in UTF-8.
        name: what its documents are called.
        text_column: of a table.

    Raises:
        EngramError: the file is no UTF-8 text or cannot be read, or a row has no text.
    """
    if file.suffix not in READERS:
        yield from _pieces(name, _lines(file))
        return
    for rows in read_rows(file, [text_column], TEXTS_AT_ONCE):
        column = checks.texts(rows.table[text_column], text_column, rows.place)
        for number, text in enumerate(column.to_pylist(), rows.place.first):
            yield from _pieces(
                f"{name}#{number}", io.StringIO(text, newline="\n") if len(text) > PIECE else [text]
            )


def _lines(file: Path) -> Iterator[str]:
    """A text file line by line, so that its length does not matter."""
    try:
        with file.open(encoding="utf-8", newline="\n") as lines:
            yield from lines
    except UnicodeDecodeError as error:
        raise EngramError(
            f"{file}: not UTF-8 text ({error.reason}); convert it, or leave it out by `pattern`"
        ) from None
    except OSError as error:
        raise EngramError(f"{file}: cannot be read ({error.strerror})") from None


def _pieces(name: str, lines: Iterable[str]) -> Iterator[Piece]:
    """Consecutive lines put together until there are enough."""
    held: list[str] = []
    size, opens = 0, True
    for line in lines:
        if size >= PIECE and held[-1].endswith("\n") and not line[:1].isspace():
            yield Piece(name, "".join(held), opens)
            held, size, opens = [], 0, False
        held.append(line)
        size += len(line)
    if held:
        yield Piece(name, "".join(held), opens)

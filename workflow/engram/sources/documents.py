"""The user's documents: text files, and tables with a column of texts."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from engram.io.errors import EngramError
from engram.io.pointers import refuse_pointers
from engram.sources import checks
from engram.sources.files import READERS, ending, read_rows
from engram.sources.text_tables import opened

PIECE = 1 << 20
"""Characters of a document that are tokenized at a time."""

_ENDINGS = (
    ".txt .text .md .markdown .rst .adoc .org .tex .log .py .pyi .r .jl .rb .pl .php .lua .sh .sql "
    ".js .ts .jsx .tsx .css .java .kt .scala .go .rs .swift .cs .hs .ml .c .h .cc .cpp .cxx .hh "
    ".hpp .cu .f .f90 .m .v"
)
PLAIN = frozenset(["", *_ENDINGS.split()])
"""Endings of text files that are read as they are; any other has to be named by `pattern`."""

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
    exposures: int | None = None
    """How often the document was inserted in the training text, where the table says so."""


def document_files(path: str | Path, pattern: str) -> list[tuple[Path, str]]:
    """Return the files of a corpus by name, each with its name below the folder.

    Hidden files and linked folders are left out; see `engram.sources.account`.

    Args:
        path: a file or a folder.
        pattern: of file names in the folder and the folders in it, for example `*.py`.

    Raises:
        EngramError: there are none, or one of a kind that is not read.
    """
    root = Path(path)
    if root.is_file():
        _check_ending(root, "", "rename it to end in .txt if it is text")
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
    for file, _ in files:
        kind = f"*{ending(file)}"
        advice = f"leave it out by `pattern`, or name `{kind}` there if such files are text"
        _check_ending(file, pattern, advice)
    return files


def _check_ending(file: Path, pattern: str, advice: str) -> None:
    """Refuse a file of a kind that is not known, unless the pattern names its ending."""
    known = ending(file) in READERS or ending(file) in PLAIN
    named = ending(Path(pattern))
    if not known and (named in ("", ".*") or not fnmatchcase(ending(file), named)):
        raise EngramError(
            f"{file}: documents are not read from {ending(file)} files; convert it, {advice}"
        )


def read_documents(
    file: Path, name: str, text_column: str, exposures_column: str = ""
) -> Iterator[Piece]:
    """Yield the documents of one file, in pieces of about `PIECE` characters.

    A text file is one document, without its byte order mark. A long document is parted behind a
    line feed that no white space follows, where tokenizers that part words from white space
    begin a token in any case.

    Args:
        file: a table, or else a text file in UTF-8.
        name: what its documents are called.
        text_column: of a table.
        exposures_column: of a table, the column or field (`text_tables.nested_value`) that says how
            often a document was inserted in the training text; none if empty.

    Raises:
        EngramError: the file is no UTF-8 text or cannot be read, a row has no text, or no number of
            exposures where they are asked for.
    """
    if ending(file) not in READERS:
        if exposures_column:
            raise EngramError(
                f"{file}: a text file has no exposures_column, {exposures_column}; leave the file "
                f"out by `pattern`"
            )
        yield from _pieces(name, _lines(file))
        return
    nested = [exposures_column] if exposures_column else []
    for rows in read_rows(file, [text_column], TEXTS_AT_ONCE, nested):
        column = checks.texts(rows.table[text_column], text_column, rows.place)
        exposures: list[int | None] = [None] * len(column)
        if exposures_column:
            counted = rows.table[exposures_column]
            exposures = checks.counts(counted, exposures_column, rows.place).tolist()
        for number, text, times in zip(
            rows.place.numbers, column.to_pylist(), exposures, strict=True
        ):
            lines = io.StringIO(text, newline="\n") if len(text) > PIECE else [text]
            yield from _pieces(f"{name}#{number}", lines, times)


def _lines(file: Path) -> Iterator[str]:
    """Yield a text file line by line, so that its length does not matter."""
    refuse_pointers([file])
    with opened(file, newline="\n") as lines:
        yield from lines


def _pieces(name: str, lines: Iterable[str], exposures: int | None = None) -> Iterator[Piece]:
    """Yield consecutive lines put together until there are enough."""
    held: list[str] = []
    size, opens = 0, True
    for line in lines:
        if size >= PIECE and held[-1].endswith("\n") and not line[:1].isspace():
            yield Piece(name, "".join(held), opens, exposures)
            held, size, opens = [], 0, False
        held.append(line)
        size += len(line)
    if held:
        yield Piece(name, "".join(held), opens, exposures)

"""What a person knows of the documents: columns next to their texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from engram.io.errors import EngramError, printable
from engram.sources.documents import document_files
from engram.sources.files import READERS, ending, read_rows


def read_facts(
    path: str | Path, pattern: str, columns: Sequence[str], table: str = ""
) -> pd.DataFrame:
    """Return columns of the documents.

    Args:
        path: a text file, a table of documents, or a folder of either.
        pattern: of file names in the folder.
        columns: names of the columns.
        table: a table with a column `document` that has them; by default the tables of documents.

    Returns:
        document (its name, as in the audit) and the columns, as text; a missing value is empty.

    Raises:
        EngramError: a file cannot be read or lacks a column, documents are text files and there is
            no table, or a table has a document twice.
    """
    parts = list(
        _parts_of_table(Path(table), columns)
        if table
        else _parts_of_documents(path, pattern, columns)
    )
    facts = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    facts = facts.reindex(columns=["document", *columns])
    if (twice := facts["document"].duplicated()).any():
        name = facts.loc[twice, "document"].iloc[0]
        raise EngramError(f"{table or path}: document {name} has two rows; remove one")
    return facts


def _parts_of_table(table: Path, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    for rows in read_rows(table, ["document", *columns]):
        yield as_text(rows.table.to_pandas())


def _parts_of_documents(
    path: str | Path, pattern: str, columns: Sequence[str]
) -> Iterator[pd.DataFrame]:
    for file, name in document_files(path, pattern):
        if ending(file) not in READERS:
            raise EngramError(
                f"{file}: a text file has no column {columns[0]}; give a table of documents, or "
                f"name a table with the column `document` in audit.facts"
            )
        for rows in read_rows(file, list(columns)):
            part = as_text(rows.table.to_pandas())
            names = [printable(f"{name}#{number}") for number in rows.place.numbers]
            part.insert(0, "document", names)
            yield part


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with all values as text."""
    filled = table.astype(object).where(table.notna(), "")
    return filled.map(lambda value: value if isinstance(value, str) else f"{value}")


def numbers_of(facts: pd.DataFrame, column: str, documents: list[str]) -> np.ndarray:
    """Return a column of numbers, one per document, float64; NaN where a document has none.

    Raises:
        EngramError: a value is not a finite number.
    """
    texts = facts.set_index("document")[column].reindex(documents).fillna("")
    numbers = pd.to_numeric(texts.where(texts != ""), errors="coerce").to_numpy(np.float64)
    wrong = (texts != "").to_numpy() & ~np.isfinite(numbers)
    if wrong.any():
        place = int(np.argmax(wrong))
        raise EngramError(
            f"column {column}: {texts.iloc[place]!r:.40} of document {documents[place]} is not a "
            f"number; correct it, or leave it empty"
        )
    return numbers

"""A user's tables: parquet, CSV, JSONL and JSON files, the last three also compressed with gzip,
read in batches that know where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from engram.io.errors import EngramError, reason
from engram.io.pointers import refuse_pointers
from engram.io.streams import ROWS
from engram.sources.checks import Place
from engram.sources.text_tables import (
    GZIP,
    Batch,
    csv_batches,
    json_lines,
    json_objects,
    nested_value,
    require,
)

UNITS = {".jsonl": "line", ".ndjson": "line", ".json": "object"}
"""What messages count in a file, by its ending; rows in others."""


@dataclass(frozen=True)
class Rows:
    """Some consecutive rows of a file."""

    table: pa.Table
    place: Place


def ending(path: Path) -> str:
    """Return the ending of a file's name in lower case, `.csv` or `.csv.gz` for instance."""
    last = path.suffix.lower()
    return Path(path.stem).suffix.lower() + last if last == GZIP else last


def table_files(path: str | Path) -> list[Path]:
    """Return the table itself, or the tables of a folder by name.

    Raises:
        EngramError: no such file or folder, a file of no known kind, or a folder without tables.
    """
    path = Path(path)
    if path.is_dir():
        if files := sorted(
            file
            for file in path.iterdir()
            if ending(file) in READERS and not file.name.startswith(".") and file.is_file()
        ):
            return files
        raise EngramError(f"{path}: the folder holds no {_LISTED} files")
    _reader(path)
    if not path.is_file():
        raise EngramError(f"{path}: no such file")
    return [path]


def read_rows(
    path: Path, columns: Sequence[str], rows: int = ROWS, nested: Sequence[str] = ()
) -> Iterator[Rows]:
    """Yield batches of some columns of a table, in the file's order.

    Columns of a CSV file are text; a column of categories is read as what the categories are. A
    file without rows gives no batch.

    Args:
        path: the table.
        columns: their names.
        rows: most rows of a batch.
        nested: further fields, each a column of the batches under its own name
            (`text_tables.nested_value`).

    Raises:
        EngramError: the file cannot be read to its end, or a column or field is missing.
    """
    reader = _reader(path)
    refuse_pointers([path])
    kind = ending(path).removesuffix(GZIP)
    unit, textual = UNITS.get(kind, "row"), kind == ".csv"
    if kind in UNITS:
        batches = reader(path, columns, rows, nested)
    else:
        needed = dict.fromkeys([*columns, *(name.split(".")[0] for name in nested)])
        batches = reader(path, list(needed), rows)
    for batch in batches:
        place = Place(str(path), batch.numbers, unit, textual)
        table = _without_categories(batch.table)
        if nested and kind not in UNITS:
            table = _with_nested(table, nested, place)
        yield Rows(table, place)


def _with_nested(table: pa.Table, nested: Sequence[str], place: Place) -> pa.Table:
    """Return the table with fields of the objects in its columns; in CSV, all values are text."""
    for name in nested:
        values = [
            nested_value(f"{place.file}: {place.unit} {number}", value, name)
            for number, value in zip(
                place.numbers, table[name.split(".")[0]].to_pylist(), strict=True
            )
        ]
        if place.textual:
            values = [None if value is None else str(value) for value in values]
        if name not in table.column_names:
            table = table.append_column(name, pa.array(values))
    return table


def _reader(path: Path) -> Callable[..., Iterator[Batch]]:
    if ending(path) not in READERS:
        raise EngramError(
            f"{path}: tables are read from {_LISTED} files; convert it, or rename it if it is one"
        )
    return READERS[ending(path)]


def _without_categories(table: pa.Table) -> pa.Table:
    """Return the table with the values of dictionary columns in place."""
    for number, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type):
            values = table.column(number).cast(column.type.value_type)
            table = table.set_column(number, column.name, values)
    return table


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise EngramError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise EngramError(
            f"{path}: no whole parquet file ({reason(error).rstrip('.')}); copy or download it "
            f"again"
        ) from None


def _parquet(path: Path, columns: Sequence[str], rows: int) -> Iterator[Batch]:
    with _open_parquet(path) as file:
        require(path, columns, file.schema_arrow.names)
        done = 0
        try:
            for batch in file.iter_batches(rows, columns=list(columns)):
                table = pa.Table.from_batches([batch])
                yield Batch(table, range(done, done + len(table)))
                done += len(table)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise EngramError(
                f"{path}: damaged behind row {done} of {file.metadata.num_rows} "
                f"({reason(error).rstrip('.')}); copy it again"
            ) from None


_TEXTUAL: dict[str, Callable[..., Iterator[Batch]]] = {
    ".csv": csv_batches,
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".json": json_objects,
}
READERS: dict[str, Callable[..., Iterator[Batch]]] = {
    ".parquet": _parquet,
    **_TEXTUAL,
    **{kind + GZIP: reader for kind, reader in _TEXTUAL.items()},
}
"""Kinds of tables by the ending of their names, in lower case."""
_LISTED = ", ".join(kind for kind in READERS if not kind.endswith(GZIP))

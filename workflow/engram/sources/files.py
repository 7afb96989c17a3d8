"""A user's tables: parquet, CSV, JSONL and JSON files, read in batches that know where they are."""

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
from engram.sources.text_tables import Batch, csv_batches, json_lines, json_objects, require

UNITS = {".jsonl": "line", ".ndjson": "line", ".json": "object"}
"""What messages count in a file, by its ending; rows in others."""


@dataclass(frozen=True)
class Rows:
    """Some consecutive rows of a file."""

    table: pa.Table
    place: Place


def ending(path: Path) -> str:
    """Return the ending of a file's name in lower case, `.csv` for instance."""
    return path.suffix.lower()


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
        raise EngramError(f"{path}: the folder holds no {', '.join(READERS)} files")
    _reader(path)
    if not path.is_file():
        raise EngramError(f"{path}: no such file")
    return [path]


def read_rows(path: Path, columns: Sequence[str], rows: int = ROWS) -> Iterator[Rows]:
    """Yield batches of some columns of a table, in the file's order.

    Columns of a CSV file are text; a column of categories is read as what the categories are. A
    file without rows gives no batch.

    Raises:
        EngramError: the file cannot be read to its end, or a column is missing.
    """
    reader = _reader(path)
    refuse_pointers([path])
    unit, textual = UNITS.get(ending(path), "row"), ending(path) == ".csv"
    for batch in reader(path, columns, rows):
        place = Place(str(path), batch.numbers, unit, textual)
        yield Rows(_without_categories(batch.table), place)


def _reader(path: Path) -> Callable[[Path, Sequence[str], int], Iterator[Batch]]:
    if ending(path) not in READERS:
        raise EngramError(
            f"{path}: tables are read from {', '.join(READERS)} files; convert it, or rename it if "
            f"it is one"
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


READERS: dict[str, Callable[[Path, Sequence[str], int], Iterator[Batch]]] = {
    ".parquet": _parquet,
    ".csv": csv_batches,
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".json": json_objects,
}
"""Kinds of tables by the ending of their names, in lower case."""

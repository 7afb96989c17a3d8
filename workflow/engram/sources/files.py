"""A user's tables: parquet, CSV and JSONL files, read in batches that know where they are."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from engram.io.errors import EngramError
from engram.io.streams import ROWS
from engram.sources.checks import Place


@dataclass(frozen=True)
class Rows:
    """Some consecutive rows of a file."""

    table: pa.Table
    place: Place


ONE_THREAD = pacsv.ReadOptions(use_threads=False)
"""Only a reader of one thread knows the number of a row that is wrong."""


def table_files(path: str | Path) -> list[Path]:
    """The table itself, or the tables of a folder by name.

    Raises:
        EngramError: no such file or folder, a file of no known kind, or a folder without tables.
    """
    path = Path(path)
    if path.is_dir():
        if files := sorted(
            file
            for file in path.iterdir()
            if file.suffix in READERS and not file.name.startswith(".")
        ):
            return files
        raise EngramError(f"{path}: the folder holds no {', '.join(READERS)} files")
    _reader(path)
    if not path.is_file():
        raise EngramError(f"{path}: no such file")
    return [path]


def read_rows(path: Path, columns: Sequence[str], rows: int = ROWS) -> Iterator[Rows]:
    """Batches of some columns of a table, in the file's order.

    Columns of a CSV file are text. A file without rows gives no batch.

    Raises:
        EngramError: the file cannot be read to its end, or a column is missing.
    """
    first = 1 if path.suffix == ".jsonl" else 0
    unit = "line" if path.suffix == ".jsonl" else "row"
    for table in _reader(path)(path, columns, rows):
        yield Rows(table, Place(str(path), first, unit, textual=path.suffix == ".csv"))
        first += len(table)


def column_names(path: Path) -> list[str]:
    """The columns of a parquet or CSV file; those of a JSONL file's first line.

    Raises:
        EngramError: the file cannot be read, or is empty.
    """
    _reader(path)
    if path.suffix == ".parquet":
        with _open_parquet(path) as file:
            return file.schema_arrow.names
    if path.suffix == ".csv":
        return _csv_header(path)
    return next((list(row) for _, row in _json_lines(path)), [])


def _reader(path: Path) -> Callable[[Path, Sequence[str], int], Iterator[pa.Table]]:
    if path.suffix not in READERS:
        raise EngramError(
            f"{path}: tables are read from {', '.join(READERS)} files; convert it, or rename it if "
            f"it is one"
        )
    return READERS[path.suffix]


def _require(path: Path, columns: Sequence[str], present: Sequence[str]) -> None:
    """Ends with an error where a column is missing or stands twice."""
    if missing := [name for name in columns if name not in present]:
        raise EngramError(
            f"{path}: column {', '.join(missing)} is missing; the file has {', '.join(present)}"
        )
    if twice := [name for name in columns if list(present).count(name) > 1]:
        raise EngramError(f"{path}: two columns are called {twice[0]}; rename one")


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise EngramError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise EngramError(
            f"{path}: no whole parquet file ({_one_line(error)}); copy or download it again"
        ) from None


def _parquet(path: Path, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
    with _open_parquet(path) as file:
        _require(path, columns, file.schema_arrow.names)
        done = 0
        try:
            for batch in file.iter_batches(rows, columns=list(columns)):
                yield pa.Table.from_batches([batch])
                done += len(batch)
        except (pa.ArrowException, OSError) as error:
            raise EngramError(
                f"{path}: damaged behind row {done} of {file.metadata.num_rows} "
                f"({_one_line(error)}); copy it again"
            ) from None


def _csv_header(path: Path) -> list[str]:
    try:
        with pacsv.open_csv(
            path, read_options=ONE_THREAD, convert_options=pacsv.ConvertOptions(check_utf8=False)
        ) as file:
            return file.schema.names
    except FileNotFoundError:
        raise EngramError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise EngramError(f"{path}: no readable CSV file ({_one_line(error)})") from None


def _csv(path: Path, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
    _require(path, columns, _csv_header(path))
    options = pacsv.ConvertOptions(
        include_columns=list(columns),
        column_types=dict.fromkeys(columns, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    try:
        with pacsv.open_csv(
            path,
            read_options=ONE_THREAD,
            convert_options=options,
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
        ) as file:
            for batch in file:
                for start in range(0, len(batch), rows):
                    yield pa.Table.from_batches([batch.slice(start, rows)])
    except (pa.ArrowException, OSError) as error:
        raise EngramError(f"{path}: no readable CSV file ({_one_line(error)})") from None


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file with their line numbers, from 1."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise EngramError(
                        f"{path}: line {number} is not JSON ({_one_line(error)})"
                    ) from None
                if not isinstance(row, dict):
                    raise EngramError(
                        f"{path}: line {number} is {type(row).__name__}, not an object of columns"
                    )
                yield number, row
    except UnicodeDecodeError as error:
        raise EngramError(f"{path}: not UTF-8 text ({error.reason})") from None
    except OSError as error:
        raise EngramError(f"{path}: cannot be read ({error.strerror})") from None


def _jsonl(path: Path, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
    lines = _json_lines(path)
    while batch := list(itertools.islice(lines, rows)):
        for number, row in batch:
            if missing := [name for name in columns if name not in row]:
                raise EngramError(
                    f"{path}: line {number} has no {', '.join(missing)}; it has {', '.join(row)}"
                )
        yield pa.table({name: _json_column(path, name, batch) for name in columns})


def _json_column(path: Path, name: str, batch: list[tuple[int, dict[str, Any]]]) -> pa.Array:
    """One column of parsed lines; the error for values of different kinds names the first line that
    differs.
    """
    values = [row[name] for _, row in batch]
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        known = next((value for value in values if value is not None), None)
        for number, row in batch:
            try:
                pa.array([known, row[name]])
            except (pa.ArrowException, OverflowError):
                raise EngramError(
                    f"{path}: line {number}, column {name}: {row[name]!r:.60} is unlike the values "
                    f"before it"
                ) from None
        raise EngramError(f"{path}: column {name} holds values of different kinds") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


READERS: dict[str, Callable[[Path, Sequence[str], int], Iterator[pa.Table]]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _jsonl,
}
"""Kinds of tables by the ending of their names."""

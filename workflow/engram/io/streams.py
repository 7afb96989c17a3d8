"""Parquet files that are too large for memory: written and read batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engram.io.artifacts import check_whole, schema_metadata, whole
from engram.io.checksums import seal_parquet
from engram.io.errors import EngramError, reason

ROWS = 1 << 16
"""Rows of a batch and of a row group, some 40 MB of windows with their texts."""


class ParquetStream:
    """Writes a parquet file; every table appended is a row group."""

    def __init__(self, path: Path, header: dict[bytes, bytes]) -> None:
        self._path, self._header = path, header
        self._writer: pq.ParquetWriter | None = None
        self.rows = 0
        """Rows written so far."""

    def append(self, table: pa.Table) -> None:
        """Write rows. All tables of a file have one schema; an empty table leaves no trace."""
        if not len(table):
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._path, table.schema.with_metadata(self._header), compression="zstd"
            )
        self._writer.write_table(table.replace_schema_metadata(self._header))
        self.rows += len(table)

    def close(self) -> None:
        """Write the footer."""
        if self._writer is not None:
            self._writer.close()


@contextmanager
def stream_parquet(path: str | Path, metadata: dict[str, Any]) -> Iterator[ParquetStream]:
    """Write a parquet file that appears when the block ends well, as `artifacts.write_parquet`
    would have written it.

    Raises:
        EngramError: nothing was appended.
    """
    with whole(path) as temporary:
        stream = ParquetStream(temporary, schema_metadata(path, metadata))
        try:
            yield stream
        finally:
            stream.close()
        if not stream.rows:
            raise EngramError(f"{path}: the source gave no windows")
        seal_parquet(temporary)


def read_batches(
    path: str | Path, columns: Sequence[str] | None = None, rows: int = ROWS
) -> Iterator[pa.Table]:
    """Yield the rows of an artifact, at most `rows` at a time and in their order.

    Raises:
        EngramError: as `artifacts.read_parquet`.
    """
    check_whole(path)
    try:
        with pq.ParquetFile(path) as file:
            if missing := [name for name in columns or () if name not in file.schema_arrow.names]:
                raise EngramError(
                    f"{path}: column {', '.join(missing)} is missing; the file has "
                    f"{', '.join(file.schema_arrow.names)}"
                )
            for batch in file.iter_batches(rows, columns=list(columns) if columns else None):
                yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        raise EngramError(
            f"{path}: cannot be read ({reason(error)}); delete the file and run again"
        ) from None


def read_selected(
    path: str | Path, sequence_ids: np.ndarray, columns: Sequence[str]
) -> pd.DataFrame:
    """Return the rows of some sequences of an artifact, in its order; the others never fill the
    memory.

    Args:
        sequence_ids: int64 (n,); the ones that the file lacks are left out.
        columns: `sequence_id` is among them.

    Raises:
        EngramError: as `artifacts.read_parquet`.
    """
    wanted = pa.array(np.unique(sequence_ids), pa.int64())
    parts = [
        table.filter(pc.is_in(table["sequence_id"], wanted))
        for table in read_batches(path, columns)
    ]
    # A file without rows has no batch.
    none = pq.read_schema(path).empty_table().select(list(columns))
    return pa.concat_tables(parts or [none]).to_pandas()


class RowFile:
    """Reads single rows of an artifact; the row group of the last one stays in memory.

    Args:
        path: the artifact.
        columns: that are read.

    Raises:
        EngramError: as `artifacts.read_parquet`.
    """

    def __init__(self, path: str | Path, columns: Sequence[str]) -> None:
        check_whole(path)
        self._path, self._columns = path, list(columns)
        self._file = pq.ParquetFile(path)
        groups = range(self._file.num_row_groups)
        rows = [self._file.metadata.row_group(group).num_rows for group in groups]
        self._ends = np.cumsum(rows)
        self._held: tuple[int, pa.Table] | None = None

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def row(self, number: int) -> dict[str, pa.Scalar]:
        """Return a row by the names of its columns.

        Raises:
            IndexError: there is none of this number.
            EngramError: the file cannot be read.
        """
        if not 0 <= number < len(self):
            raise IndexError(number)
        group = int(np.searchsorted(self._ends, number, side="right"))
        if self._held is None or self._held[0] != group:
            try:
                table = self._file.read_row_group(group, columns=self._columns)
            except (pa.ArrowException, OSError) as error:
                raise EngramError(
                    f"{self._path}: cannot be read ({reason(error)}); delete the file and run again"
                ) from None
            self._held = group, table
        table = self._held[1]
        place = number - (int(self._ends[group]) - len(table))
        return {name: table[name][place] for name in self._columns}


def stacked_tokens(table: pa.Table, name: str = "tokens") -> np.ndarray:
    """Return the tokens of a batch of an artifact, or another column of lists of one length, (n, T)
    in their own type.
    """
    column = table[name]
    return pc.list_flatten(column).to_numpy().reshape(len(column), -1)

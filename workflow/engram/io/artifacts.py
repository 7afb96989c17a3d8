"""Artifacts on disk: whole or not at all, with their schema version, and read back with clear
errors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from engram.io.checksums import NAME_KEY, check_name, check_parquet, seal_parquet
from engram.io.errors import EngramError, reason
from engram.io.schema import SCHEMA_VERSION

METADATA_KEY = b"engram"


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Yields a path beside `path` to write to; it is renamed to `path` on success and removed on
    any error.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_parquet(
    frame: pd.DataFrame, path: str | Path, metadata: dict[str, Any] | None = None
) -> None:
    """Writes a table with the schema version and `metadata` (JSON values) in the file's own
    metadata.
    """
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata(
        {**(table.schema.metadata or {}), **schema_metadata(path, metadata)}
    )
    with whole(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
        seal_parquet(temporary)


def schema_metadata(path: str | Path, metadata: dict[str, Any] | None) -> dict[bytes, bytes]:
    """What the schema of every table of Engram holds: the schema version with `metadata`, and the
    file's name.
    """
    header = {**(metadata or {}), "schema_version": SCHEMA_VERSION}
    return {METADATA_KEY: json.dumps(header).encode(), NAME_KEY: Path(path).name.encode()}


def read_parquet(path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Reads a table that `write_parquet` wrote; `columns` are checked and read alone.

    Raises:
        EngramError: no such file, no parquet, another schema version, another file's content,
            damage, or a missing column.
    """
    present = check_whole(path).names
    if missing := [name for name in columns or () if name not in present]:
        raise EngramError(
            f"{path}: column {', '.join(missing)} is missing; the file has {', '.join(present)}"
        )
    try:
        return pq.read_table(path, columns=list(columns) if columns else None).to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise EngramError(
            f"{path}: cannot be read ({reason(error)}); delete the file to have it made anew"
        ) from None


def check_whole(path: str | Path) -> pa.Schema:
    """The schema of a table that `write_parquet` wrote, once all its bytes have been found to be
    those written.

    Raises:
        EngramError: as `read_parquet`, columns aside.
    """
    version = read_metadata(path).get("schema_version", "unknown")
    if version != SCHEMA_VERSION:
        raise EngramError(
            f"{path}: schema version {version}, this Engram reads {SCHEMA_VERSION}; delete the "
            f"file to have it made anew"
        )
    check_parquet(Path(path), data=True)
    return pq.read_schema(path)


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The metadata that `write_parquet` stored; empty for a file that Engram did not write.

    Raises:
        EngramError: no such file, no parquet, another file's content, or a damaged schema.
    """
    try:
        sealed = check_parquet(Path(path), data=False)
        schema = pq.read_schema(path)
    except FileNotFoundError:
        raise EngramError(f"{path}: no such file") from None
    except (
        pa.ArrowException,
        OSError,
        ValueError,
    ) as error:  # a ValueError for text that is no UTF-8
        raise EngramError(
            f"{path}: not a readable parquet file ({reason(error)}); delete it to have it made "
            f"anew, or restore it"
        ) from None
    check_name(Path(path), sealed, schema.metadata or {})
    try:
        metadata = json.loads((schema.metadata or {}).get(METADATA_KEY, b"{}"))
    except ValueError:
        metadata = None
    return metadata if isinstance(metadata, dict) else {}


def write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    """Writes a table for people; floats with six significant digits."""
    with whole(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def write_json(value: Any, path: str | Path) -> None:
    """Writes indented JSON."""
    with whole(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")

"""Artifacts on disk: whole or absent, with their schema version, and read back with clear
errors."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from engram.io.checksums import NAME_KEY, check_name, check_parquet, seal_parquet
from engram.io.errors import EngramError, reason
from engram.io.schema import SCHEMA_VERSION

METADATA_KEY = b"engram"
STALE_SECONDS = 24 * 3600
"""A temporary file that has not changed for a day was left by a killed job."""


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Yield a path next to `path` to write to; rename it to `path` on success, remove it on any
    error.

    The path is unique: of two jobs that write one file at once, the last to finish wins. What
    killed jobs left in the folder more than a day ago is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for partial in path.parent.glob(".*.partial"):
        with suppress(OSError):  # another job has just finished or removed it, or it is a folder
            if time.time() - partial.stat().st_mtime > STALE_SECONDS:
                partial.unlink()
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.partial")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_parquet(
    frame: pd.DataFrame, path: str | Path, metadata: dict[str, Any] | None = None
) -> None:
    """Write a table with the schema version and `metadata` (JSON values) in the file's own
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
    """Return what the schema of every table of Engram holds: the schema version with `metadata`,
    and the file's name.
    """
    header = {**(metadata or {}), "schema_version": SCHEMA_VERSION}
    return {METADATA_KEY: json.dumps(header).encode(), NAME_KEY: Path(path).name.encode()}


def read_parquet(path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table that `write_parquet` wrote, or only its `columns`.

    Raises:
        EngramError: no such file, not parquet, another schema version, another file's content,
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
            f"{path}: cannot be read ({reason(error)}); delete the file and run again"
        ) from None


def check_whole(path: str | Path) -> pa.Schema:
    """Return the schema of a table that `write_parquet` wrote, after a check of all its bytes.

    Raises:
        EngramError: as `read_parquet`, except for missing columns.
    """
    version = read_metadata(path).get("schema_version", "unknown")
    if version != SCHEMA_VERSION:
        raise EngramError(
            f"{path}: schema version {version}, this Engram reads {SCHEMA_VERSION}; delete the "
            f"file and run again"
        )
    check_parquet(Path(path), data=True)
    return pq.read_schema(path)


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Return the metadata that `write_parquet` stored; empty for a file that Engram did not write.

    Raises:
        EngramError: no such file, not parquet, another file's content, or a damaged schema.
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
    ) as error:  # a ValueError for text that is not UTF-8
        raise EngramError(
            f"{path}: not a readable parquet file ({reason(error)}); delete it and run "
            f"again, or restore it"
        ) from None
    check_name(Path(path), sealed, schema.metadata or {})
    try:
        metadata = json.loads((schema.metadata or {}).get(METADATA_KEY, b"{}"))
    except ValueError:
        metadata = None
    return metadata if isinstance(metadata, dict) else {}


def write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table for people; floats with six significant digits."""
    with whole(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def write_json(value: Any, path: str | Path) -> None:
    """Write indented JSON."""
    with whole(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")

"""The user's table: token windows, or texts that a tokenizer cuts into windows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from engram.io.errors import EngramError
from engram.io.streams import stream_parquet
from engram.lm.tokens import decode, encoder
from engram.sources import checks
from engram.sources.account import account
from engram.sources.candidates import checked_columns, refuse_repeated, window_table
from engram.sources.checks import Limits
from engram.sources.entry import check_mapping
from engram.sources.files import Rows, read_rows, table_files
from engram.sources.fit import check_texts, check_tokenizer

log = logging.getLogger(__name__)

COMPARED = 256
"""Rows on which text and tokens are compared."""


@dataclass(frozen=True)
class TableReader:
    """How one table becomes candidates."""

    columns: Mapping[str, str]
    """The table's column for each of Engram's: `tokens`, `text` or both, and any of
    `entry.COLUMNS`.
    """
    window: int
    """Tokens of every window: prefix + suffix."""
    limits: Limits
    """The model's."""
    tokenizer: PreTrainedTokenizerBase
    """The model's."""


def write_windows(
    path: str | Path, reader: TableReader, output: Path, metadata: dict[str, Any]
) -> None:
    """Write the windows of a table, or of all tables of a folder.

    A text is cut to its first T tokens; a text of fewer tokens is no window and is left out, which
    the log counts. Rows without `sequence_id` are numbered from 0.

    Args:
        path: a parquet, CSV or JSONL file, or a folder of them.
        reader: how to read it.
        output: candidates.parquet where the table has a score, else the windows that are to be
            scored.
        metadata: what the artifact records.

    Raises:
        EngramError: a file cannot be read, lacks a column, holds a value that cannot be used or a
            sequence_id twice, or the tokens belong to another tokenizer.
    """
    check_mapping(reader.columns)
    check_tokenizer(reader.tokenizer, reader.limits)
    files = table_files(path)
    sequence_ids: list[np.ndarray] = []
    names: list[str] = []
    said = account(path, files)
    with stream_parquet(output, metadata | said.metadata()) as stream:
        for file in files:
            of_file = [np.empty(0, np.int64)]
            for rows in read_rows(file, list(dict.fromkeys(reader.columns.values()))):
                first = sum(map(len, [*sequence_ids, *of_file]))
                table, identifiers = _windows(rows, reader, first)
                stream.append(table)
                of_file.append(identifiers)
            if not sum(map(len, of_file)):
                raise EngramError(f"{file}: the table has no rows")
            sequence_ids.append(np.concatenate(of_file))
            names.append(str(file))
        refuse_repeated(sequence_ids, names)
        if not stream.rows:
            raise EngramError(
                f"{path}: no text has {reader.window} tokens; lower `prefix` or `suffix`, or give "
                f"longer texts"
            )
        read = sum(map(len, sequence_ids))
        if short := read - stream.rows:
            said.left_out[f"rows whose text has fewer than {reader.window} tokens"] = short
        log.info("%d windows from %d rows", stream.rows, read)
        log.info(said.line())


def _windows(rows: Rows, reader: TableReader, first: int) -> tuple[pa.Table, np.ndarray]:
    """Return the windows of a batch, and the sequence_id of all of its rows."""
    named = checked_columns(
        rows, {name: column for name, column in reader.columns.items() if name != "tokens"}
    )
    named.setdefault("sequence_id", np.arange(first, first + len(rows.table), dtype=np.int64))
    identifiers = named["sequence_id"]
    if "tokens" not in reader.columns:
        encoded = encoder(reader.tokenizer)(named.pop("text").to_pylist())
        long_enough = np.array([len(ids) >= reader.window for ids in encoded], dtype=bool)
        kept = [ids[: reader.window] for ids in encoded if len(ids) >= reader.window]
        tokens = np.array(kept, dtype=np.int32).reshape(-1, reader.window)  # (n, T)
        named = {
            name: pa.array(values).filter(pa.array(long_enough)) for name, values in named.items()
        }
    else:
        column = reader.columns["tokens"]
        tokens = checks.windows(
            rows.table[column], column, rows.place, reader.window, reader.limits
        )  # (n, T)
    if "text" not in named:
        named["text"] = pa.array(decode(reader.tokenizer, tokens), pa.string())
    elif first == 0:
        check_texts(
            reader.tokenizer,
            tokens[:COMPARED].tolist(),
            named["text"].slice(0, COMPARED).to_pylist(),
            rows.place.file,
        )
    return window_table(tokens, named), identifiers

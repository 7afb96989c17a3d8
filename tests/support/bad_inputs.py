"""What users get wrong: how each bad input is made and read, and what the message must hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tiny_sources import (
    PREFIX,
    SUFFIX,
    WINDOW,
    hub_rows,
    parquet,
    write_split,
)
from transformers import PreTrainedTokenizerFast

from engram.io.errors import EngramError
from engram.sources import corpus, hub, table
from engram.sources.checks import Limits
from engram.sources.fit import check_tokenizer, model_limits
from engram.sources.snapshots import fetch_model

Damage = Callable[[pd.DataFrame], Any]


class Case:
    """One bad input: how it is made in a folder, how it is read, and what the message must hold."""

    def __init__(
        self, name: str, make: Callable[[Path], Path], read: str, *expected: str, **options: Any
    ) -> None:
        self.name, self.make, self.read, self.expected, self.options = (
            name,
            make,
            read,
            expected,
            options,
        )


def good(n: int = 6) -> dict[str, list[Any]]:
    """Columns of a table that is right."""
    return {
        "sequence_id": list(range(n)),
        "tokens": [list(range(5, 5 + WINDOW)) for _ in range(n)],
        "memorization_score": [0.5] * n,
        "sequence_duplicates": [1] * n,
        "is_code": [True] * n,
    }


def with_value(column: str, row: int, value: Any) -> dict[str, list[Any]]:
    """The right columns with one value changed."""
    columns = good()
    columns[column][row] = value
    return columns


def as_parquet(columns: dict[str, Any]) -> Callable[[Path], Path]:
    return lambda folder: parquet(folder / "t.parquet", **columns)


def as_csv(columns: dict[str, list[Any]]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        pd.DataFrame(columns).to_csv(folder / "t.csv", index=False)
        return folder / "t.csv"

    return make


def as_jsonl(columns: dict[str, list[Any]]) -> Callable[[Path], Path]:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return as_text("t.jsonl", "\n".join(map(json.dumps, rows)))


def as_text(name: str, content: str | bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return folder / name

    return make


def as_split(damage: Damage) -> Callable[[Path], Path]:
    """A folder in the hub's layout whose rows are damaged."""

    def make(folder: Path) -> Path:
        frame = hub_rows(12)
        changed = damage(frame)
        write_split(folder, "pile", frame if changed is None else changed)
        return folder

    return make


def nothing(folder: Path) -> Path:
    """A path where there is nothing."""
    return folder / "nowhere.parquet"


def empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


IDS = {"tokens": "tokens"}
EVERY = {name: name for name in good()}
NAN = float("nan")
BIG = 1 << 70


def read_bad_input(
    case: Case, source: Path, output: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    """Reads a bad input as the workflow would."""
    if case.read == "table":
        reader = table.TableReader(case.options.get("columns", EVERY), WINDOW, limits, tokenizer)
        table.write_windows(source, reader, output / "candidates.parquet", {})
    elif case.read == "hub":
        files, _ = hub.find_splits(source, None, ["pile"])
        hub.write_candidates(files, output / "candidates.parquet", WINDOW, limits, {})
    elif case.read == "corpus":
        settings = corpus.CorpusSettings(PREFIX, SUFFIX, stride=1, candidates=10, seed=0)
        corpus.write_windows(
            source, "*", "text", tokenizer, limits, settings, output / "windows.parquet", {}
        )
    elif case.read == "model":
        fetch_model(source, None, output / "model")
    elif case.read == "limits":
        model_limits(source.parent if source.is_file() else source, WINDOW)
    else:
        check_tokenizer(tokenizer, model_limits(source, WINDOW))


def check_refused(
    case: Case, folder: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    """Reads a bad input: the message names the place, and nothing is left behind."""
    (folder / "in").mkdir()
    (folder / "out").mkdir()
    source = case.make(folder / "in")
    with pytest.raises(EngramError) as caught:
        read_bad_input(case, source, folder / "out", tokenizer, limits)
    message = str(caught.value)
    assert "\n" not in message, message
    for part in case.expected:
        assert part in message, message
    if case.read in ("table", "corpus") and "config" not in case.name:
        assert str(folder / "in") in message
    assert list((folder / "out").iterdir()) == []

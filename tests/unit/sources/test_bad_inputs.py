"""What users get wrong: one line with the file and the row or column, and nothing left behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_sources import (
    PREFIX,
    SUFFIX,
    TEXT,
    VOCABULARY,
    WINDOW,
    hub_rows,
    parquet,
    tiny_model,
    write_split,
)
from transformers import PreTrainedTokenizerFast

from engram.io.errors import EngramError
from engram.sources import corpus, hub, table
from engram.sources.checks import Limits, Place, windows
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


def put(column: str, row: int, value: Any) -> Damage:
    """Changes one value of a frame."""

    def damage(frame: pd.DataFrame) -> None:
        values = frame[column].tolist()
        values[row] = value
        frame[column] = pd.Series(values)

    return damage


def damaged_file(cut: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    """A parquet file whose bytes are changed."""

    def make(folder: Path) -> Path:
        pq.write_table(
            pa.table(good(3000)), folder / "t.parquet", compression="snappy", row_group_size=1000
        )
        (folder / "t.parquet").write_bytes(cut((folder / "t.parquet").read_bytes()))
        return folder / "t.parquet"

    return make


def two_files(folder: Path) -> Path:
    """Two tables that share a sequence_id."""
    parquet(folder / "a.parquet", **good())
    parquet(folder / "b.parquet", **good() | {"sequence_id": [11, 12, 13, 4, 15, 16]})
    return folder


def second_is_empty(folder: Path) -> Path:
    """Two tables, the second without rows."""
    parquet(folder / "a.parquet", **good())
    pq.write_table(pa.table(good()).slice(0, 0), folder / "b.parquet")
    return folder


def other_text(folder: Path) -> Path:
    """Tokens beside texts that another tokenizer made of them."""
    return parquet(folder / "t.parquet", **good(), text=["nothing of the kind"] * 6)


def changed_model(**config: Any) -> Callable[[Path], Path]:
    """A model folder with other values in its configuration."""

    def make(folder: Path) -> Path:
        tiny_model().save_pretrained(folder / "m")
        values = json.loads((folder / "m" / "config.json").read_text()) | config
        (folder / "m" / "config.json").write_text(json.dumps(values))
        return folder / "m"

    return make


def pickled_model(folder: Path) -> Path:
    """A model folder with pickled weights alone."""
    tiny_model().save_pretrained(folder / "m")
    (folder / "m" / "model.safetensors").rename(folder / "m" / "pytorch_model.bin")
    return folder / "m"


def no_config(folder: Path) -> Path:
    """A model folder without a configuration."""
    tiny_model().save_pretrained(folder / "m")
    (folder / "m" / "config.json").unlink()
    return folder / "m"


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

CASES = [
    # Values of a table.
    Case(
        "token outside the vocabulary",
        as_parquet(with_value("tokens", 3, [VOCABULARY] * WINDOW)),
        "table",
        "row 3, column tokens: token 400 is outside the vocabulary of 400",
    ),
    Case(
        "token beyond 32 bits",
        as_parquet(with_value("tokens", 3, [1 << 40] * WINDOW)),
        "table",
        "row 3, column tokens: token 1099511627776",
    ),
    Case(
        "negative token",
        as_parquet(with_value("tokens", 2, [-1] * WINDOW)),
        "table",
        "row 2, column tokens: token -1",
    ),
    Case(
        "short window",
        as_parquet(with_value("tokens", 4, [1, 2, 3])),
        "table",
        "row 4, column tokens: the window has 3 tokens; prefix + suffix are 8",
    ),
    Case(
        "long window",
        as_parquet(with_value("tokens", 1, list(range(9)))),
        "table",
        "row 1, column tokens: the window has 9 tokens",
    ),
    Case(
        "missing token",
        as_parquet(with_value("tokens", 1, [1, 2, 3, None, 5, 6, 7, 8])),
        "table",
        "row 1, column tokens: a token is missing",
    ),
    Case(
        "missing window",
        as_parquet(with_value("tokens", 5, None)),
        "table",
        "row 5, column tokens: the value is missing",
    ),
    Case(
        "tokens that are floats",
        as_parquet(good() | {"tokens": [[1.5] * WINDOW] * 6}),
        "table",
        "column tokens has type list<",
        "whole numbers",
    ),
    Case(
        "tokens that are words",
        as_parquet(good() | {"tokens": [["a"] * WINDOW] * 6}),
        "table",
        "column tokens has type list<",
        "whole numbers",
    ),
    Case(
        "tokens that are text",
        as_parquet(good() | {"tokens": ["1 2 3 4 5 6 7 8"] * 6}),
        "table",
        "column tokens has type string",
        "lists of token ids",
    ),
    Case(
        "score that is NaN",
        as_parquet(with_value("memorization_score", 2, NAN)),
        "table",
        "row 2, column memorization_score: nan is no fraction",
    ),
    Case(
        "missing score",
        as_parquet(with_value("memorization_score", 2, None)),
        "table",
        "row 2, column memorization_score: the value is missing",
    ),
    Case(
        "score in percent",
        as_parquet(with_value("memorization_score", 0, 97.0)),
        "table",
        "row 0, column memorization_score: 97.0 is no fraction",
    ),
    Case(
        "score that is text",
        as_parquet(good() | {"memorization_score": ["high"] * 6}),
        "table",
        "column memorization_score has type string",
    ),
    Case(
        "sequence twice in a table",
        as_parquet(with_value("sequence_id", 5, 2)),
        "table",
        "sequence_id 2 stands twice, in row 2 of",
        "row 5 of",
    ),
    Case(
        "sequence twice in a folder",
        two_files,
        "table",
        "sequence_id 4 stands twice, in row 4 of",
        "row 3 of",
        "b.parquet",
    ),
    Case(
        "sequence without a number",
        as_parquet(with_value("sequence_id", 3, None)),
        "table",
        "row 3, column sequence_id: the value is missing",
    ),
    Case(
        "sequence numbers that are floats",
        as_parquet(good() | {"sequence_id": [1.0, 2, 3, 4, 5, 6]}),
        "table",
        "column sequence_id has type double",
    ),
    Case(
        "sequence number beyond 64 bits",
        as_parquet(good() | {"sequence_id": np.array([1, 2, 3, 4, 5, 1 << 63], np.uint64)}),
        "table",
        "column sequence_id holds a number beyond the range of int64",
    ),
    Case(
        "negative duplicates",
        as_parquet(with_value("sequence_duplicates", 1, -4)),
        "table",
        "row 1, column sequence_duplicates: -4 is negative",
    ),
    Case(
        "flag that is a number",
        as_parquet(good() | {"is_code": [1] * 6}),
        "table",
        "column is_code has type int64",
        "true and false",
    ),
    Case(
        "tokens of another tokenizer",
        other_text,
        "table",
        "text and tokens disagree in 6 of 6 rows; row 0 begins 'nothing of the kind'",
        columns={**IDS, "text": "text"},
    ),
    Case(
        "missing text",
        as_parquet(good() | {"text": ["a", None, "c", "d", "e", "f"]}),
        "table",
        "row 1, column text: the value is missing",
        columns={**IDS, "text": "text"},
    ),
    Case(
        "text that is bytes",
        as_parquet(good() | {"text": [b"a"] * 6}),
        "table",
        "column text has type binary",
        columns={**IDS, "text": "text"},
    ),
    Case(
        "text that is not UTF-8",
        as_parquet({"text": pa.array([b"fine", b"\xff\xfe"]).view(pa.string())}),
        "table",
        "row 1, column text: the text is not UTF-8",
        columns={"text": "text"},
    ),
    Case(
        "texts that are all too short",
        as_parquet({"text": ["a", "b"]}),
        "table",
        "no text has 8 tokens",
        columns={"text": "text"},
    ),
    # Files of a table.
    Case(
        "missing column",
        as_parquet({"ids": [[1]]}),
        "table",
        "column tokens is missing; the file has ids",
        columns=IDS,
    ),
    Case(
        "several missing columns",
        as_csv({"ids": [1]}),
        "table",
        "column sequence_id, tokens, memorization_score, sequence_duplicates, is_code is missing",
    ),
    Case(
        "unknown column in the config",
        as_parquet(good()),
        "table",
        "columns: rouge is no column of candidates",
        columns={**IDS, "rouge": "r"},
    ),
    Case(
        "neither tokens nor text in the config",
        as_parquet(good()),
        "table",
        "columns: neither `tokens` nor `text`",
        columns={"sequence_id": "sequence_id"},
    ),
    Case("no such table", nothing, "table", "nowhere.parquet: no such file"),
    Case(
        "table of an unknown kind",
        as_text("t.xlsx", "PK"),
        "table",
        "t.xlsx: tables are read from .parquet, .csv, .jsonl",
    ),
    Case(
        "folder without tables",
        empty_folder,
        "table",
        "the folder holds no .parquet, .csv, .jsonl, .ndjson, .json files",
    ),
    Case(
        "parquet file without rows",
        as_parquet({"tokens": pa.array([], pa.list_(pa.int64()))}),
        "table",
        "t.parquet: the table has no rows",
        columns=IDS,
    ),
    Case("second table without rows", second_is_empty, "table", "b.parquet: the table has no rows"),
    Case(
        "empty parquet file", as_text("t.parquet", ""), "table", "t.parquet: no whole parquet file"
    ),
    Case(
        "truncated parquet file",
        damaged_file(lambda content: content[: len(content) // 2]),
        "table",
        "t.parquet: no whole parquet file",
    ),
    Case(
        "parquet file with a hole",
        damaged_file(lambda content: content[:4] + b"\xff" * 4000 + content[4004:]),
        "table",
        "t.parquet: damaged behind row 0 of 3000",
    ),
    Case(
        "parquet file that is text",
        as_text("t.parquet", "a,b\n1,2\n"),
        "table",
        "t.parquet: no whole parquet file",
    ),
    Case("empty CSV file", as_text("t.csv", ""), "table", "t.csv: the CSV file is empty"),
    Case(
        "CSV file with a header alone",
        as_text("t.csv", "tokens\n"),
        "table",
        "t.csv: the table has no rows",
        columns=IDS,
    ),
    Case(
        "CSV row with too many fields",
        as_text("t.csv", "tokens\n1 2\n1,2,3\n"),
        "table",
        "t.csv: row 1 has 3 fields, the header 1",
        columns=IDS,
    ),
    Case(
        "CSV tokens with a fraction",
        as_csv(good() | {"tokens": ["1 2 3 4 5 6 7 8"] * 5 + ["1 2 3.5 4 5 6 7 8"]}),
        "table",
        "row 5, column tokens: '1 2 3.5 4 5 6 7 8' is no list of whole numbers",
    ),
    Case(
        "CSV tokens with a cut list",
        as_csv(good() | {"tokens": ["[1, 2, 3"] * 6}),
        "table",
        "row 0, column tokens: '[1, 2, 3' is no list",
    ),
    Case(
        "CSV tokens with an empty field",
        as_csv(with_value("tokens", 2, None)),
        "table",
        "row 2, column tokens: None is no list",
    ),
    Case(
        "CSV score that is a word",
        as_csv(with_value("memorization_score", 2, "high")),
        "table",
        "row 2, column memorization_score: 'high' is not one of numbers",
    ),
    Case(
        "CSV sequence number with a fraction",
        as_csv(with_value("sequence_id", 2, "2.5")),
        "table",
        "row 2, column sequence_id: '2.5' is not one of whole numbers",
    ),
    Case(
        "CSV sequence number beyond 64 bits",
        as_csv(with_value("sequence_id", 2, str(BIG))),
        "table",
        "column sequence_id holds a number beyond the range of int64",
    ),
    Case(
        "CSV flag that is a word",
        as_csv(with_value("is_code", 2, "maybe")),
        "table",
        "row 2, column is_code: 'maybe' is not one of true and false",
    ),
    Case(
        "CSV file with two columns of one name",
        as_text("t.csv", "tokens,tokens\n1,2\n"),
        "table",
        "t.csv: two columns are called tokens",
        columns=IDS,
    ),
    Case(
        "CSV file in another encoding",
        as_text("t.csv", b"text\n\xe9t\xe9\n"),
        "table",
        "t.csv: not UTF-8 text",
        columns={"text": "text"},
    ),
    Case("empty JSONL file", as_text("t.jsonl", ""), "table", "t.jsonl: the table has no rows"),
    Case(
        "JSONL line that is cut",
        as_text("t.jsonl", '{"tokens": [1]}\n{"tokens": [1, 2'),
        "table",
        "t.jsonl: line 2 is not JSON",
        columns=IDS,
    ),
    Case(
        "JSONL line that is a list",
        as_text("t.jsonl", "[1, 2]\n"),
        "table",
        "t.jsonl: line 1 is list, not an object",
        columns=IDS,
    ),
    Case(
        "JSONL line without the column",
        as_text("t.jsonl", '{"tokens": [1]}\n{"ids": [1]}\n'),
        "table",
        "t.jsonl: line 2 has no tokens; it has ids",
        columns=IDS,
    ),
    Case(
        "JSONL values of two kinds",
        as_jsonl(with_value("memorization_score", 3, "high")),
        "table",
        "t.jsonl: line 4, column memorization_score: 'high' is unlike the values before it",
    ),
    Case(
        "JSONL tokens with a fraction",
        as_jsonl(with_value("tokens", 3, [1, 2, 3.5, 4, 5, 6, 7, 8])),
        "table",
        "t.jsonl: column tokens has type list<",
        "whole numbers",
    ),
    Case(
        "JSONL number beyond 64 bits",
        as_jsonl(with_value("sequence_id", 3, BIG)),
        "table",
        f"t.jsonl: line 4, column sequence_id: {BIG} is unlike",
    ),
    Case(
        "JSONL score that is NaN",
        as_jsonl(with_value("memorization_score", 3, NAN)),
        "table",
        "t.jsonl: line 4, column memorization_score: nan is no fraction",
    ),
    Case(
        "JSONL file in another encoding",
        as_text("t.jsonl", b'{"text": "\xe9"}\n'),
        "table",
        "t.jsonl: not UTF-8 text",
        columns={"text": "text"},
    ),
    # The published data.
    Case("split that is not there", lambda folder: folder, "hub", "there is no split pile"),
    Case(
        "published tokens outside the vocabulary",
        as_split(put("tokens", 5, [VOCABULARY] * WINDOW)),
        "hub",
        "row 5, column tokens: token 400 is outside the vocabulary",
    ),
    Case(
        "published window of another length",
        as_split(put("tokens", 11, [1, 2])),
        "hub",
        "row 11, column tokens: the window has 2 tokens",
    ),
    Case(
        "published row without a score",
        as_split(put("memorization_score", 8, NAN)),
        "hub",
        "row 8, column memorization_score: the value is missing",
    ),
    Case(
        "published row without text",
        as_split(put("text", 9, None)),
        "hub",
        "row 9, column text: the value is missing",
    ),
    Case(
        "published row without a flag",
        as_split(put("is_repeating", 7, None)),
        "hub",
        "row 7, column is_repeating: the value is missing",
    ),
    Case(
        "published split without a column",
        as_split(lambda frame: frame.drop(columns="sequence_duplicates")),
        "hub",
        "column sequence_duplicates is missing",
    ),
    Case(
        "published split without rows",
        as_split(lambda frame: frame.iloc[:0]),
        "hub",
        "the source gave no windows",
    ),
    # The corpus.
    Case("no such corpus", nothing, "corpus", "nowhere.parquet: no such file or folder"),
    Case(
        "corpus folder without files", empty_folder, "corpus", "empty: the folder holds no * files"
    ),
    Case(
        "document that is no text",
        as_text("d.txt", b"\x89PNG\xff\xfe"),
        "corpus",
        "d.txt: not UTF-8 text",
    ),
    Case(
        "documents that are all empty", as_text("d.txt", ""), "corpus", "the documents hold no text"
    ),
    Case(
        "documents that are all too short",
        as_text("d.txt", "a b"),
        "corpus",
        "no document has 8 tokens",
    ),
    Case(
        "table of documents without the column",
        as_jsonl({"body": ["a"]}),
        "corpus",
        "t.jsonl: line 1 has no text; it has body",
    ),
    Case(
        "document that is missing",
        as_parquet({"text": ["a", None]}),
        "corpus",
        "t.parquet: row 1, column text: the value is missing",
    ),
    Case(
        "document that is a number",
        as_jsonl({"text": [5]}),
        "corpus",
        "t.jsonl: column text has type int64; it must hold text",
    ),
    # Models.
    Case("model without a configuration", no_config, "model", "no config.json in it"),
    Case("model with pickled weights alone", pickled_model, "model", "no safetensors weights"),
    Case(
        "model with a short context",
        changed_model(max_position_embeddings=7),
        "limits",
        "windows of 8 tokens are longer than its context of 7",
    ),
    Case(
        "model with a broken configuration",
        as_text("config.json", "{"),
        "limits",
        "config.json: cannot be read",
    ),
    Case(
        "model of an unknown architecture",
        as_text("config.json", '{"model_type": "no_such_thing"}'),
        "limits",
        "its config.json cannot be used",
    ),
    Case(
        "model that brings its own code",
        as_text("config.json", '{"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}'),
        "limits",
        "its config.json cannot be used",
    ),
    Case(
        "tokenizer with more tokens than the model",
        changed_model(vocab_size=20),
        "tokenizer",
        "its tokenizer has",
        "its embedding 20",
    ),
]


def run(
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


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_message_names_the_place_and_nothing_is_left(
    case: Case, tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    source = case.make(tmp_path / "in")
    with pytest.raises(EngramError) as caught:
        run(case, source, tmp_path / "out", tokenizer, limits)
    message = str(caught.value)
    assert "\n" not in message
    for part in case.expected:
        assert part in message
    if case.read in ("table", "corpus") and "config" not in case.name:
        assert str(tmp_path / "in") in message
    assert list((tmp_path / "out").iterdir()) == []


def test_there_are_at_least_forty_and_no_two_are_alike() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 40


def test_the_right_table_is_read(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    """What the cases change is all that is wrong with them."""
    for make in (as_parquet, as_csv, as_jsonl):
        shutil.rmtree(tmp_path, ignore_errors=True)
        tmp_path.mkdir()
        run(
            Case("right", make(good()), "table"),
            make(good())(tmp_path),
            tmp_path,
            tokenizer,
            limits,
        )
    write_split(tmp_path, "pile", hub_rows(12))
    run(Case("right", as_split(lambda frame: None), "hub"), tmp_path, tmp_path, tokenizer, limits)
    (tmp_path / "d").mkdir()
    run(
        Case("right", as_text("d.txt", TEXT), "corpus"),
        as_text("d.txt", TEXT)(tmp_path / "d"),
        tmp_path,
        tokenizer,
        limits,
    )


def test_windows_that_hold_what_the_model_reads_first_are_refused() -> None:
    limits = Limits("m", 100, None, (7,))
    place = Place("t.parquet", range(5))

    def column(*first: int) -> pa.ChunkedArray:
        return pa.chunked_array([[[token, 1, 2] for token in first]])

    read = windows(column(7, 7, 3, 4, 5), "tokens", place, 3, limits)  # two of five begin a text
    assert read.shape == (5, 3)
    with pytest.raises(
        EngramError,
        match=r"t\.parquet: row 1, column tokens: the window begins with token 7, which m reads in "
        r"front of every window anyway; set `bos: false`",
    ):
        windows(column(3, 7, 7, 7, 5), "tokens", place, 3, limits)
    windows(column(7, 7, 7, 7, 7), "tokens", place, 3, Limits("m", 100, None))

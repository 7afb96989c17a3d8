"""Tables that cannot be read: one line with the file and the place, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bad_inputs import (
    BIG,
    IDS,
    NAN,
    Case,
    as_csv,
    as_jsonl,
    as_parquet,
    as_text,
    check_refused,
    empty_folder,
    good,
    nothing,
    with_value,
)
from tiny_sources import (
    parquet,
)
from transformers import PreTrainedTokenizerFast

from engram.sources.checks import Limits


def second_is_empty(folder: Path) -> Path:
    """Two tables, the second without rows."""
    parquet(folder / "a.parquet", **good())
    pq.write_table(pa.table(good()).slice(0, 0), folder / "b.parquet")
    return folder


def damaged_file(cut: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    """A parquet file whose bytes are changed."""

    def make(folder: Path) -> Path:
        pq.write_table(
            pa.table(good(3000)), folder / "t.parquet", compression="snappy", row_group_size=1000
        )
        (folder / "t.parquet").write_bytes(cut((folder / "t.parquet").read_bytes()))
        return folder / "t.parquet"

    return make


CASES = [
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
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_message_names_the_place_and_nothing_is_left(
    case: Case, tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    check_refused(case, tmp_path, tokenizer, limits)


def test_there_are_enough_and_no_two_are_alike() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 30

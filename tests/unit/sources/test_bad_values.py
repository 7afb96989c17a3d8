"""Wrong values in tables: one line with file, row and column, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from bad_inputs import (
    IDS,
    NAN,
    Case,
    as_parquet,
    check_refused,
    good,
    with_value,
)
from tiny_sources import (
    VOCABULARY,
    WINDOW,
    parquet,
)
from transformers import PreTrainedTokenizerFast

from engram.sources.checks import Limits


def two_files(folder: Path) -> Path:
    """Two tables that share a sequence_id."""
    parquet(folder / "a.parquet", **good())
    parquet(folder / "b.parquet", **good() | {"sequence_id": [11, 12, 13, 4, 15, 16]})
    return folder


def other_text(folder: Path) -> Path:
    """Tokens next to texts that another tokenizer made of them."""
    return parquet(folder / "t.parquet", **good(), text=["nothing of the kind"] * 6)


CASES = [
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
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_message_names_the_place_and_nothing_is_left(
    case: Case, tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    check_refused(case, tmp_path, tokenizer, limits)


def test_there_are_enough_and_no_two_are_alike() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 25

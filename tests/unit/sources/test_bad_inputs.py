"""What users get wrong in published data, corpora and models: one line, and nothing left behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from bad_inputs import (
    NAN,
    Case,
    Damage,
    as_csv,
    as_jsonl,
    as_parquet,
    as_split,
    as_text,
    check_refused,
    empty_folder,
    good,
    nothing,
    read_bad_input,
)
from tiny_sources import (
    TEXT,
    VOCABULARY,
    WINDOW,
    hub_rows,
    tiny_model,
    write_split,
)
from transformers import PreTrainedTokenizerFast

from engram.io.errors import EngramError
from engram.sources.checks import Limits, Place, windows


def put(column: str, row: int, value: Any) -> Damage:
    """Changes one value of a frame."""

    def damage(frame: pd.DataFrame) -> None:
        values = frame[column].tolist()
        values[row] = value
        frame[column] = pd.Series(values)

    return damage


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


CASES = [
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


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_message_names_the_place_and_nothing_is_left(
    case: Case, tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    check_refused(case, tmp_path, tokenizer, limits)


def test_there_are_enough_and_no_two_are_alike() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 20


def test_the_right_table_is_read(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    """What the cases change is all that is wrong with them."""
    for make in (as_parquet, as_csv, as_jsonl):
        shutil.rmtree(tmp_path, ignore_errors=True)
        tmp_path.mkdir()
        read_bad_input(
            Case("right", make(good()), "table"),
            make(good())(tmp_path),
            tmp_path,
            tokenizer,
            limits,
        )
    write_split(tmp_path, "pile", hub_rows(12))
    read_bad_input(
        Case("right", as_split(lambda frame: None), "hub"), tmp_path, tmp_path, tokenizer, limits
    )
    (tmp_path / "d").mkdir()
    read_bad_input(
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

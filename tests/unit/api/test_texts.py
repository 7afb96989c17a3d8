"""Texts in every form that a user has them in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_language_model import PREFIX, SUFFIX, some_tokens, tokenizer

from engram.api.texts import DroppedTexts, Windows, read_windows
from engram.io.errors import EngramError

TOKENS = some_tokens(4)
TEXTS = tokenizer().batch_decode(TOKENS.tolist())


def read(texts: Any, **options: Any) -> Windows:
    return read_windows(texts, tokenizer(), PREFIX, SUFFIX, **options)


FORMS = {
    "list of texts": TEXTS,
    "tuple of texts": tuple(TEXTS),
    "array of texts": np.array(TEXTS),
    "series of texts": pd.Series(TEXTS),
    "frame of texts": pd.DataFrame({"text": TEXTS, "kind": "a"}),
    "array of tokens": TOKENS,
    "smaller integers": TOKENS.astype(np.uint16),
    "tensor of tokens": torch.from_numpy(TOKENS),
    "list of lists": TOKENS.tolist(),
    "list of arrays": list(TOKENS),
    "frame of tokens": pd.DataFrame({"tokens": TOKENS.tolist()}),
    "frame of both": pd.DataFrame({"tokens": list(TOKENS), "text": "w1"}),
    "longer rows": np.concatenate([TOKENS, TOKENS], axis=1),
    "longer texts": [f"{text} w5 w6" for text in TEXTS],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_windows(form: str) -> None:
    windows = read(FORMS[form])
    assert windows.tokens.dtype == np.int64
    np.testing.assert_array_equal(windows.tokens, TOKENS)
    assert list(windows.index) == [0, 1, 2, 3]
    assert len(windows) == len(windows.columns) == 4


def test_a_frame_keeps_its_index_and_its_other_columns() -> None:
    frame = pd.DataFrame({"text": TEXTS, "kind": list("abcd")}, index=[9, 7, 5, 3])
    windows = read(frame)
    assert list(windows.index) == [9, 7, 5, 3]
    assert list(windows.columns["kind"]) == list("abcd")


SHORT = [TEXTS[0], "w1 w2", TEXTS[1], "w3"]


def test_a_text_that_is_too_short_is_named() -> None:
    with pytest.raises(EngramError, match=r"texts: row 1 has 2 tokens, prefix \+ suffix need 16"):
        read(SHORT)
    with pytest.raises(EngramError, match="held_out: row b has 2 tokens"):
        read(pd.Series(SHORT, index=list("abcd")), name="held_out")


def test_short_texts_are_dropped_in_sight() -> None:
    with pytest.warns(
        DroppedTexts, match="dropped 2 of 4 rows with fewer than 16 tokens, .* row 1"
    ):
        windows = read(SHORT, short="drop")
    assert list(windows.index) == [0, 2]
    np.testing.assert_array_equal(windows.tokens, TOKENS[:2])


def test_nothing_is_said_where_nothing_is_dropped() -> None:
    assert len(read(TEXTS, short="drop")) == 4


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one text", "texts: one str; give a list"),
        (b"bytes", "texts: one bytes; give a list"),
        (7, "texts: one int; give a list"),
        ({"text": TEXTS}, "texts: one dict; give a list"),
        ([], "texts: empty; give at least one text"),
        (pd.DataFrame({"text": []}), "texts: empty"),
        (pd.DataFrame({"words": TEXTS}), "needs a column tokens or text, this one has words"),
        (pd.DataFrame(index=[1]), "this one has none"),
        (np.arange(16), r"an array of shape \(16,\); give tokens as \(texts, tokens\)"),
        (np.zeros((2, 3, 4), int), r"an array of shape \(2, 3, 4\)"),
        (np.zeros((2, 16)), "row 0 is not a sequence of whole numbers"),
        ([[1.5] * 16], "row 0 is not a sequence of whole numbers"),
        ([[True] * 16], "row 0 is not a sequence of whole numbers"),
        ([[[1, 2], [3]]], "row 0 is not a sequence of whole numbers"),
        ([*TEXTS, None], "row 4 is a NoneType, row 0 is text"),
        ([*TEXTS, [1] * 16], "row 4 is a list, row 0 is text"),
        ([[1] * 16, "w1"], "row 1 is a str, row 0 is tokens"),
        ([[1] * 16, 3], "row 1 is an int; give text or a sequence of token ids"),
        ([{"a": 1}], "row 0 is a dict; give text or a sequence"),
        (["w1", "w2"], "row 0 has 1 tokens"),
    ],
)
def test_what_is_no_text_is_refused_in_one_line(texts: Any, message: str) -> None:
    with pytest.raises(EngramError, match=message) as error:
        read(texts)
    assert "\n" not in str(error.value)


HALF = "w1 half \ud83d of it"


@pytest.mark.parametrize(
    ("texts", "row"),
    [
        ([*TEXTS, HALF], 4),
        (np.array([HALF, *TEXTS]), 0),
        (pd.Series([TEXTS[0], HALF], index=["a", "b"], dtype=object), "b"),
        (pd.DataFrame({"text": [TEXTS[0], HALF]}, index=[9, 7], dtype=object), 7),
    ],
)
def test_half_a_character_is_refused(texts: Any, row: object) -> None:
    with pytest.raises(EngramError, match=f"texts: row {row} holds half a character"):
        read(texts, short="drop")


def test_when_all_are_dropped_nothing_is_left() -> None:
    with pytest.raises(EngramError, match="all 2 rows have fewer than 16 tokens"):
        read(["w1", "w2"], short="drop")


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "8"])
def test_window_lengths_are_whole_numbers(value: Any) -> None:
    with pytest.raises(EngramError, match=r"prefix: .*; give a number of tokens, 1 or more"):
        read_windows(TEXTS, tokenizer(), value, SUFFIX)
    with pytest.raises(EngramError, match="suffix: "):
        read_windows(TEXTS, tokenizer(), PREFIX, value)


def test_short_has_two_values() -> None:
    with pytest.raises(EngramError, match="short: 'ignore'; choose error or drop"):
        read(TEXTS, short="ignore")

"""Regions of a document, from windows whose results are written down."""

from __future__ import annotations

import numpy as np
import pandas as pd
from tiny_language_model import tokenizer

from engram.auditing.documents import documents_of_texts
from engram.auditing.regions import Scored, describe, score_tokens, spans
from engram.auditing.windows import n_column

PREFIX, SUFFIX, N = 4, 4, 40


def windows(offsets: list[int], reproduced: set[int], stop: int = N) -> pd.DataFrame:
    """Windows of a model that recalls the tokens 10 to `stop`, and 9 by chance."""
    matches, rows = [], []
    for offset in offsets:
        suffix = np.arange(offset + PREFIX, offset + PREFIX + SUFFIX)
        matches.append((suffix >= 9) & (suffix < stop))
        rows.append({"offset": offset, "extracted": offset in reproduced})
    frame = pd.DataFrame(rows)
    frame["log_p_z"] = -1.0 - frame.index
    frame["p_z"], frame[n_column(0.5)] = np.exp(frame["log_p_z"]), 2.0
    frame["class"], frame["sequence_duplicates"], frame["rouge_l"] = "Others", 1, 0.25
    flags = dict.fromkeys(("is_repeating", "is_incrementing", "is_code"), False)
    return frame.assign(
        **flags, token_matches=matches, token_log_probs=[match - 1.0 for match in matches]
    )


def scored(frame: pd.DataFrame) -> Scored:
    values = (frame[f"token_{name}"].tolist() for name in ("matches", "log_probs"))
    return score_tokens(N, PREFIX, frame, *values)


def test_a_region_is_the_union_of_suffixes_prolonged_to_the_token() -> None:
    frame = windows(list(range(0, 33, 4)), {8, 12, 16}, stop=26)
    result = scored(frame)
    assert np.flatnonzero(result.reproduced).tolist() == list(range(12, 24))
    assert spans(result) == [(9, 26)]
    assert result.covered.tolist() == [False] * 4 + [True] * 36


def test_regions_apart_stay_apart_and_nothing_is_no_region() -> None:
    frame = windows([0, 8, 24], {8, 24})
    assert spans(scored(frame)) == [(12, 16), (28, 32)]
    assert spans(scored(windows([0, 8, 24], set()))) == []


def test_a_token_has_the_value_of_the_window_with_most_of_what_is_before_it() -> None:
    frame = windows([0, 2], set())
    frame.at[0, "token_log_probs"] = np.array([-1.0, -2.0, -3.0, -4.0])
    frame.at[1, "token_log_probs"] = np.array([-5.0, -6.0, -7.0, -8.0])
    result = scored(frame)
    np.testing.assert_array_equal(result.log_probs[4:10], [-1, -2, -3, -4, -7, -8])
    assert np.isnan(result.log_probs[[3, 10]]).all()
    assert result.best[4:10].tolist() == [0, 0, 0, 0, 1, 1]


def test_a_region_says_where_it_is_and_what_prompts_it() -> None:
    text = " ".join(f"w{i + 1}" for i in range(N))
    (document,) = documents_of_texts(["a"], [text], tokenizer())
    frame = windows(list(range(0, 33, 4)), {8, 12, 16}, stop=26)
    table = describe(document, PREFIX, frame, scored(frame), [0.5])
    (row,) = table.to_dict("records")
    assert (row["start"], row["end"], row["windows"], row["prompt"]) == (9, 26, 3, 8)
    assert row["prefix"].split() == ["w9", "w10", "w11", "w12"]
    assert row["text"].split() == [f"w{i + 1}" for i in range(9, 26)]
    assert text[row["char_start"] : row["char_end"]] == row["text"]
    assert (row["log_p_z"], row["worst_log_p_z"], row["classes"]) == (-3.0, -5.0, "Others 3")
    assert describe(document, PREFIX, frame.head(2), scored(frame.head(2)), [0.5]).empty

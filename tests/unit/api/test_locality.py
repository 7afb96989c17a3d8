"""The attack by the front door: the numbers of the room, in tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tiny_language_model import PREFIX, SUFFIX, some_tokens, tiny_lm

from engram.api.locality import attack
from engram.io.errors import EngramError
from engram.mechanisms.locality import probe_locality
from engram.mechanisms.locality_results import RECALLED, Texts
from engram.mechanisms.locality_settings import LocalitySettings

OPTIONS = {"steps": 2, "most": 0.25}


def texts() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "tokens": some_tokens(8).tolist(),
            "class": ["Others", "Guess"] * 4,
            "split": ["train"] * 4 + ["test"] * 4,
        },
        index=list("abcdefgh"),
    )


def test_tables_hold_the_numbers_of_the_room() -> None:
    unseen = some_tokens(3, seed=4)
    result = attack(tiny_lm(), texts(), unseen, PREFIX, SUFFIX, **OPTIONS)
    tokens = some_tokens(8)
    expected = probe_locality(
        tiny_lm().model,
        Texts(tokens[[4, 6]], np.array([4, 6])),
        Texts(unseen, np.arange(3)),
        PREFIX,
        LocalitySettings(**OPTIONS),
        ranking=tokens[[0, 2]],
    )
    assert result.removed == expected.heads[: expected.removed]
    table = result.table
    assert table["row"].tolist() == [*"eeeggg"] * 2
    assert table["step"].tolist() == [0, 1, 2] * 4
    for state, rows in table.groupby("model"):
        np.testing.assert_array_equal(
            rows["suffix_log_prob"], expected.attacks[RECALLED, state].measures[..., 2].ravel()
        )
    assert table["extracted"].dtype == bool
    statistics = {"resamples": 50, "confidence": 0.9, "seed": 2}
    for name in ("removal", "curves", "comparison", "overlap"):
        pd.testing.assert_frame_equal(
            getattr(result, name)(**statistics), getattr(expected, name)(**statistics)
        )
    assert repr(result).startswith("Attack: 2 texts, ")


def test_given_heads_need_no_other_texts() -> None:
    heads = [(2, 1), (1, 4), (3, 2)]
    result = attack(
        tiny_lm(), some_tokens(4), some_tokens(2, seed=4), PREFIX, SUFFIX, heads=heads, **OPTIONS
    )
    assert result.rows.tolist() == [0, 1, 2, 3]
    assert result.values.heads == tuple(heads[: len(result.values.heads)])
    frame = texts().drop(columns=["class", "split"])
    split = attack(tiny_lm(), frame, some_tokens(2, seed=4), PREFIX, SUFFIX, **OPTIONS)
    assert 0 < len(split.rows) < 8


def test_what_cannot_be_attacked_is_refused() -> None:
    for options, message in (
        ({"recalled": "Recite"}, "texts: none of the class 'Recite'"),
        ({"left": 1.0}, r"locality\.left: 1 is not less than 1"),
        ({"heads": [(9, 1)]}, r"heads: \(9, 1\); the model has layers 1 to 3"),
    ):
        with pytest.raises(EngramError, match=message):
            attack(tiny_lm(), texts(), some_tokens(2), PREFIX, SUFFIX, **options)

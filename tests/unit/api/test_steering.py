"""Steering by the front door: the numbers of the room, in tables; splits keep texts together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tiny_language_model import PREFIX, SUFFIX, some_tokens, tiny_lm

from engram.api.steering import draw_splits, steer
from engram.io.errors import EngramError
from engram.knockout.experiment import Samples
from engram.mechanisms.steering import steer as room
from engram.mechanisms.steering_results import SplitTexts
from engram.mechanisms.steering_settings import SteeringSettings


def texts(**columns: object) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "tokens": some_tokens(12).tolist(),
            "class": ["Others", "Guess"] * 6,
            "split": np.repeat(["train", "validation", "test"], 4),
        },
        index=list("abcdefghijkl"),
    )
    return frame.assign(**columns)


def test_tables_hold_the_numbers_of_the_room() -> None:
    result = steer(
        tiny_lm(), texts(), PREFIX, SUFFIX, alphas=(0.5,), shuffles=1, other=some_tokens(2, seed=5)
    )
    tokens, number, group = some_tokens(12), np.arange(12) % 2, np.arange(12)
    parts = [Samples(rows, group[rows], number[rows], tokens[rows]) for rows in np.split(group, 3)]
    divided = SplitTexts(*parts, ["Others", "Guess"], some_tokens(2, seed=5))
    settings = SteeringSettings(alphas=(0.5,), shuffles=1)
    expected = room(tiny_lm().model, divided, PREFIX, settings)
    assert result.depth == expected.choice.depth and result.alpha == 0.5
    table = result.table
    assert table["row"].tolist() == [*"iijjkkll"]
    assert (
        table["class"].tolist() == ["Others"] * 2 + ["Guess"] * 2 + ["Others"] * 2 + ["Guess"] * 2
    )
    assert table["alpha"].tolist() == [0.0, 0.5] * 4
    np.testing.assert_array_equal(table["suffix_log_prob"], expected.measures[:, 0, :, 2].ravel())
    assert table["extracted"].dtype == bool
    statistics = {"resamples": 50, "confidence": 0.9, "seed": 2}
    for name in ("by_class", "selectivity"):
        pd.testing.assert_frame_equal(
            getattr(result, name)(**statistics), getattr(expected, name)(**statistics)
        )
    pd.testing.assert_frame_equal(result.depths(**statistics), expected.choice.table(**statistics))


def test_pairs_are_compared_within_the_pair() -> None:
    pair = [0, 0, 1, 1, *[-1] * 8]
    alone, paired = (
        steer(tiny_lm(), frame, PREFIX, SUFFIX, alphas=(0.5,), shuffles=1, depth=2)
        for frame in (texts(), texts(pair=pair))
    )
    vectors = [result.values.directions[0].vector for result in (alone, paired)]
    assert not np.allclose(*vectors, atol=1e-3)


def test_drawn_splits_keep_equal_texts_and_pairs_together() -> None:
    group = np.arange(300) // 3
    pair = np.full(300, -1)
    pair[:60] = np.random.default_rng(0).permutation(60) // 2
    split = draw_splits(group, pair, 4)
    for names in (group, pair[:60]):
        of_unit = pd.Series(split[: len(names)]).groupby(names).nunique()
        assert (of_unit == 1).all()
    shares = pd.Series(draw_splits(group, None, 4)).value_counts(normalize=True)
    assert shares["train"] == pytest.approx(0.4, abs=0.02)
    assert shares["validation"] == pytest.approx(0.2, abs=0.02)
    assert (draw_splits(group, pair, 4) == split).all()
    assert (draw_splits(group, pair, 5) != split).any()


def test_what_cannot_be_steered_is_refused() -> None:
    for frame, options, message in (
        (texts().drop(columns="class"), {}, "texts: no column `class`"),
        (texts(split="training"), {}, "split: 'training'; choose train, validation, test"),
        (texts(), {"recalled": "Recite"}, "steering: no class 'Recite' among Others, Guess"),
        (texts(), {"draws": 3}, "steering.draws: 3"),
    ):
        with pytest.raises(EngramError, match=message):
            steer(tiny_lm(), frame, PREFIX, SUFFIX, **options)

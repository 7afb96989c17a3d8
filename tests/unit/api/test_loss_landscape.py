"""REMIND by the front door: the numbers of the room, in tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tiny_language_model import PREFIX, SUFFIX, some_tokens, tiny_lm

from engram.api.loss_landscape import remind
from engram.io.errors import EngramError
from engram.mechanisms.remind import FEATURES, RIVALS, Neighbourhood, measure_landscape


def texts() -> pd.DataFrame:
    return pd.DataFrame({"tokens": some_tokens(12).tolist(), "class": list("abaabb" * 2)})


def test_tables_hold_the_numbers_of_the_room() -> None:
    result = remind(tiny_lm(), texts(), PREFIX, SUFFIX, neighbours=3, nearest=5, seed=2)
    words = [" ".join(f"w{token}" for token in row) for row in some_tokens(12)]
    expected = measure_landscape(
        tiny_lm().model, some_tokens(12), words, Neighbourhood(3, nearest=5, seed=2)
    )
    table = result.table
    assert list(table) == ["row", "class", *FEATURES, *RIVALS[1:]]
    np.testing.assert_array_equal(table[[*FEATURES]], expected.features)
    np.testing.assert_array_equal(table["zlib"], expected.rivals[:, 1])
    by_class = result.by_class(resamples=50)
    assert by_class["n"].tolist() == [6, 6]
    np.testing.assert_allclose(
        by_class["curvature"], table.groupby("class")["curvature"].mean(), rtol=1e-12
    )
    scores = result.scores(3, resamples=30)
    assert scores["class"].tolist()[:3] == ["a", "b", "all"] and len(scores) == 7 * 3
    assert scores["auc"].between(0, 1).all() and scores["n"].tolist()[:3] == [6, 6, 12]
    assert repr(result) == "Remind: 12 texts, 3 neighbours of each"


def test_scores_need_classes() -> None:
    result = remind(tiny_lm(), some_tokens(4), PREFIX, SUFFIX, neighbours=0)
    with pytest.raises(EngramError, match="all 4 texts are of the class all; give a DataFrame"):
        result.scores()

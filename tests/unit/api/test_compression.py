"""Compression by the front door: the numbers of the room, in tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tiny_language_model import PREFIX, SUFFIX, some_tokens, tiny_lm

from engram.api.compression import compress
from engram.io.errors import EngramError
from engram.lm.generation import greedy_continuations
from engram.mechanisms.compression import compress as room


def windows() -> np.ndarray:
    """Six windows; the model writes the suffix of the first four, after fewer and fewer tokens."""
    tokens = some_tokens(6)
    for row, length in enumerate((8, 5, 3, 1)):
        context = tokens[row : row + 1, PREFIX - length : PREFIX]
        tokens[row, PREFIX:] = greedy_continuations(tiny_lm().model, context, SUFFIX)
    tokens[1:4, : PREFIX - 1] = tokens[0, : PREFIX - 1]
    return tokens


def test_tables_hold_the_numbers_of_the_room() -> None:
    frame = pd.DataFrame({"tokens": windows().tolist(), "class": list("aabbab")})
    result = compress(tiny_lm(), frame, PREFIX, SUFFIX, scan=True)
    expected = room(tiny_lm().model, windows(), PREFIX, scan=True)
    table = result.table
    assert list(table) == [
        *("row", "class", "extracted", "bisected", "fewest", "compressibility"),
        *("monotone", "tried"),
    ]
    np.testing.assert_array_equal(table["fewest"], expected.fewest)
    np.testing.assert_array_equal(table["compressibility"], expected.fewest / PREFIX)
    assert table["extracted"].iloc[0] and not table["extracted"].iloc[5]
    by_class = result.by_class(resamples=50)
    assert by_class["class"].tolist() == ["a", "b"] and by_class["n"].tolist() == [3, 3]
    rates = table.groupby("class")["extracted"].mean()
    np.testing.assert_allclose(by_class["extracted"], rates)
    np.testing.assert_allclose(by_class["fewest"], table.groupby("class")["fewest"].mean())
    assert repr(result).startswith("Compressed: 6 texts, ")
    assert repr(result).endswith("keeps the last tokens, scan")


def test_another_end_is_kept_on_request() -> None:
    result = compress(tiny_lm(), windows(), PREFIX, SUFFIX, keep="onset")
    np.testing.assert_array_equal(
        result.table["fewest"], room(tiny_lm().model, windows(), PREFIX, "onset").fewest
    )
    with pytest.raises(EngramError, match="keep: 'middle'; choose last, first, onset"):
        compress(tiny_lm(), windows(), PREFIX, SUFFIX, keep="middle")

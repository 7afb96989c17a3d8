"""The offline code classifier on snippets as long as a sample, and what its points promise."""

import numpy as np
import pytest
from code_and_prose import CODE, PROSE
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.io.errors import EngramError
from engram.windows.code_text import CODE_POINTS, FEATURES, MOST_COUNTED, is_code


def code_points(text: str) -> int:
    """Sum of the points of `FEATURES`, each counted up to `MOST_COUNTED` times."""
    return sum(
        points * min(len(pattern.findall(text)), MOST_COUNTED)
        for pattern, points in FEATURES.values()
    )


@pytest.mark.parametrize("text", list(CODE.values()), ids=list(CODE))
def test_code_is_code(text: str) -> None:
    assert is_code([text]).tolist() == [True]


@pytest.mark.parametrize("text", list(PROSE.values()), ids=list(PROSE))
def test_prose_is_not_code(text: str) -> None:
    assert is_code([text]).tolist() == [False]


def test_labels_are_in_the_order_of_the_rows() -> None:
    labels = is_code([CODE["c"], PROSE["fiction"], CODE["sql"]])
    assert labels.dtype == np.bool_
    assert labels.tolist() == [True, False, True]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(sorted(CODE.values()) + sorted(PROSE.values())), max_size=5).map(
        "\n".join
    )
)
def test_points_are_bounded_however_long_the_text(text: str) -> None:
    highest = MOST_COUNTED * sum(points for _, points in FEATURES.values() if points > 0)
    lowest = MOST_COUNTED * sum(points for _, points in FEATURES.values() if points < 0)
    assert lowest <= code_points(text) <= highest


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(sorted(CODE.values()) + sorted(PROSE.values())), max_size=3).map(
        "".join
    ),
    st.integers(0, 300),
    st.integers(0, 300),
)
def test_the_points_decide(text: str, begin: int, end: int) -> None:
    cut = text[begin:end]
    assert is_code([cut]).tolist() == [code_points(cut) >= CODE_POINTS or "\\usepackage{" in cut]


def test_the_documented_bounds_are_those_of_the_features() -> None:
    assert (
        code_points(" the" * 9),
        MOST_COUNTED * sum(points for _, points in FEATURES.values() if points > 0),
    ) == (-5, 65)


def test_a_missing_text_is_named() -> None:
    with pytest.raises(EngramError, match="row 1 holds nan"):
        is_code(["a", float("nan")])  # type: ignore[list-item]

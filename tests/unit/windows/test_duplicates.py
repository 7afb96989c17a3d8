"""Groups of equal suffixes and their occurrences against brute force."""

from collections.abc import Iterator
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.io.errors import EngramError
from engram.windows import duplicates
from engram.windows.duplicates import group_rows, suffix_occurrences


def plain_groups(rows: list[list[int]]) -> list[int]:
    """Group numbers in order of first appearance, by a dictionary."""
    numbers: dict[tuple[int, ...], int] = {}
    return [numbers.setdefault(tuple(row), len(numbers)) for row in rows]


def plain_occurrences(suffixes: list[list[int]], documents: list[list[int]]) -> list[int]:
    """Counts by comparing every window of every document."""
    windows = [
        document[start : start + len(suffixes[0])]
        for document in documents
        for start in range(len(document))
    ]
    return [windows.count(suffix) for suffix in suffixes]


def stream_of(documents: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """The documents one after another, and their offsets."""
    boundaries = np.cumsum([0, *map(len, documents)])[:-1]
    return np.array(
        [token for document in documents for token in document], dtype=np.int32
    ), boundaries


def weak_multipliers() -> Iterator[int]:
    """First a multiplier for which the order of tokens does not matter, then good ones."""
    yield 1
    yield from range(3, 1 << 62, 2)


TOKENS = st.sampled_from([0, 1, 2, 256])
TABLES = st.integers(1, 7).flatmap(
    lambda length: st.lists(
        st.lists(TOKENS, min_size=length, max_size=length), min_size=1, max_size=12
    )
)


@settings(deadline=None)
@given(TABLES, st.sampled_from([np.int64, np.int32, np.uint16]))
def test_groups_equal_brute_force(rows: list[list[int]], dtype: type) -> None:
    groups = group_rows(np.array(rows, dtype=dtype))[0]
    assert groups.dtype == np.int64
    assert groups.tolist() == plain_groups(rows)


def test_first_rows_of_the_groups() -> None:
    rows = np.array([[7, 1], [2, 2], [7, 1], [3, 3], [2, 2]])
    assert group_rows(rows)[1].tolist() == [0, 1, 3]


def test_colliding_rows_get_another_hash() -> None:
    rows = [[1, 2, 3], [3, 2, 1], [1, 2, 3], [2, 1, 3]]
    with mock.patch.object(duplicates, "_multipliers", weak_multipliers):
        assert group_rows(np.array(rows))[0].tolist() == [0, 1, 0, 2]


def test_no_rows_have_no_groups() -> None:
    assert group_rows(np.empty((0, 32), dtype=np.int32))[0].shape == (0,)


@settings(deadline=None)
@given(TABLES, st.lists(st.lists(TOKENS, max_size=15), max_size=5), st.integers(1, 40))
def test_occurrences_equal_brute_force(
    suffixes: list[list[int]], documents: list[list[int]], tokens_at_once: int
) -> None:
    stream, boundaries = stream_of(documents)
    with mock.patch.object(duplicates, "TOKENS_AT_ONCE", tokens_at_once):
        counts = suffix_occurrences(np.array(suffixes), stream, boundaries)
    assert counts.tolist() == plain_occurrences(suffixes, documents)


def test_occurrences_of_real_lengths_equal_brute_force() -> None:
    random = np.random.default_rng(0)
    documents = [random.integers(0, 2048, size=size).tolist() for size in (500, 31, 32, 33, 700)]
    documents.append(documents[0][100:250] + documents[4][:40] + documents[0][110:160])
    stream, boundaries = stream_of(documents)
    suffixes = np.lib.stride_tricks.sliding_window_view(stream, 32)[::7]
    assert suffix_occurrences(suffixes, stream, boundaries).tolist() == plain_occurrences(
        suffixes.tolist(), documents
    )


def test_occurrences_overlap() -> None:
    assert suffix_occurrences(np.array([[5, 5, 5]]), np.full(10, 5), np.array([0])).tolist() == [8]


def test_occurrences_do_not_cross_documents() -> None:
    stream = np.array([1, 2, 3, 1, 2, 3])
    assert suffix_occurrences(np.array([[3, 1], [1, 2]]), stream, np.array([0, 3])).tolist() == [
        0,
        2,
    ]


def test_windows_with_the_hash_of_a_suffix_are_compared() -> None:
    # With this multiplier every order of the tokens has one hash.
    with mock.patch.object(duplicates, "_multipliers", weak_multipliers):
        assert suffix_occurrences(
            np.array([[1, 2]]), np.array([2, 1, 1, 2]), np.array([0])
        ).tolist() == [1]


def test_no_suffixes_have_no_counts() -> None:
    assert suffix_occurrences(np.empty((0, 4), dtype=int), np.arange(9), np.array([0])).shape == (
        0,
    )


@pytest.mark.parametrize(
    "rows",
    [np.zeros(4, dtype=int), np.zeros((2, 4)), np.zeros((2, 0), dtype=int)],
    ids=["one row", "floats", "no tokens"],
)
def test_wrong_suffixes_are_named(rows: np.ndarray) -> None:
    with pytest.raises(EngramError, match=r"suffixes: shape \("):
        group_rows(rows)


@pytest.mark.parametrize(
    "stream", [np.zeros((2, 4), dtype=int), np.zeros(4)], ids=["table", "floats"]
)
def test_a_wrong_stream_is_named(stream: np.ndarray) -> None:
    with pytest.raises(EngramError, match=r"stream: shape \("):
        suffix_occurrences(np.zeros((1, 2), dtype=int), stream, np.array([0]))


@pytest.mark.parametrize(
    "boundaries",
    [
        np.array([], dtype=int),
        np.array([1, 3]),
        np.array([0, 3, 2]),
        np.array([0, 7]),
        np.array([0.0]),
        np.array([[0]]),
    ],
    ids=["none", "not from 0", "descending", "beyond the stream", "floats", "table"],
)
def test_wrong_boundaries_are_named(boundaries: np.ndarray) -> None:
    with pytest.raises(EngramError, match="boundaries: "):
        suffix_occurrences(np.zeros((1, 2), dtype=int), np.arange(6), boundaries)

"""Scalar features against their definitions in plain Python, and their bounds."""

import math
import statistics
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.io.errors import EngramError
from engram.windows.text_features import (
    FREQUENCIES,
    ROWS_AT_ONCE,
    content_groups,
    huffman_coding_length,
    token_counts,
    token_entropy,
    token_frequencies,
)


def entropy(items: list[int] | str) -> float:
    """Entropy in bits, term by term."""
    return sum(
        count / len(items) * math.log2(len(items) / count) for count in Counter(items).values()
    )


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("", 0.0),
        ("aaaa", 0.0),
        ("ab", 1.0),
        ("aabb", 1.0),
        ("aab", 2 / 3 * 1 + 1 / 3 * 2),
        ("aaaabbcd", 1.75),
        ("0123456789", 4.0),
        ("éé漢漢", 1.0),
    ],
)
def test_huffman_coding_length_by_hand(text: str, bits: float) -> None:
    assert huffman_coding_length(text) == pytest.approx(bits, abs=1e-15)


@settings(deadline=None)
@given(st.text(min_size=1))
def test_huffman_coding_length_is_within_a_bit_of_the_entropy(text: str) -> None:
    assert -1e-12 <= huffman_coding_length(text) - entropy(text) < 1


@settings(deadline=None)
@given(st.text("abcdé \n", min_size=1, max_size=300))
def test_huffman_coding_length_equals_its_formula(text: str) -> None:
    shares = [count / len(text) for count in Counter(text).values()]
    assert huffman_coding_length(text) == pytest.approx(
        sum(share * math.ceil(-math.log2(share)) for share in shares), rel=1e-12
    )


@settings(deadline=None)
@given(
    st.integers(1, 20).flatmap(
        lambda length: st.lists(
            st.lists(st.integers(-2, 6), min_size=length, max_size=length), min_size=1, max_size=6
        )
    )
)
def test_token_entropy_equals_its_definition(rows: list[list[int]]) -> None:
    np.testing.assert_allclose(
        token_entropy(np.array(rows)), [entropy(row) for row in rows], rtol=0, atol=1e-12
    )


def test_token_entropy_of_one_repeated_token_is_zero() -> None:
    assert token_entropy(np.full((3, 64), 17)).tolist() == [0.0, 0.0, 0.0]


def test_token_entropy_of_distinct_tokens_is_the_logarithm_of_their_number() -> None:
    assert token_entropy(np.arange(64, dtype=np.uint16).reshape(1, 64)).tolist() == [6.0]


def test_token_entropy_ignores_the_order_of_tokens() -> None:
    random = np.random.default_rng(0)
    tokens = random.integers(0, 30, size=(200, 64))
    np.testing.assert_array_equal(
        token_entropy(random.permuted(tokens, axis=1)), token_entropy(tokens)
    )


def test_token_entropy_of_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    tokens = np.random.default_rng(1).integers(0, 3, size=(ROWS_AT_ONCE + 10, 4))
    np.testing.assert_array_equal(token_entropy(tokens)[-20:], token_entropy(tokens[-20:]))


def test_token_entropy_of_no_rows() -> None:
    assert token_entropy(np.empty((0, 64), dtype=np.int32)).shape == (0,)


@pytest.mark.parametrize(
    "tokens",
    [np.zeros(64, dtype=int), np.zeros((2, 64)), np.zeros((2, 0), dtype=int)],
    ids=["one row", "floats", "no tokens"],
)
def test_token_entropy_names_a_wrong_array(tokens: np.ndarray) -> None:
    with pytest.raises(EngramError, match=r"tokens: shape \("):
        token_entropy(tokens)


def test_content_groups_tell_trailing_zero_tokens_apart() -> None:
    # As byte strings these four rows end in NULs and would be cut to the same text.
    assert content_groups(
        np.array([[1, 0, 0], [1, 0, 1], [1, 0, 0], [0, 0, 0]], dtype=np.int64)
    ).tolist() == [0, 1, 0, 2]


def test_content_groups_follow_from_equality_of_the_rows() -> None:
    suffixes = np.random.default_rng(2).integers(0, 2, size=(300, 6))
    groups = content_groups(suffixes)
    equal = (suffixes[:, None] == suffixes[None]).all(axis=2)  # (n, n)
    np.testing.assert_array_equal(groups[:, None] == groups[None], equal)


def test_content_groups_are_dense_and_in_order_of_appearance() -> None:
    groups = content_groups(np.array([[9, 9], [4, 4], [9, 9], [1, 1]], dtype=np.uint16))
    assert groups.dtype == np.int64
    assert groups.tolist() == [0, 1, 0, 2]


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=1, max_size=12),
    st.integers(1, 12),
)
def test_frequencies_are_those_of_a_plain_count(rows: list[list[int]], batch: int) -> None:
    tokens, counts = np.array(rows, dtype=np.int32), np.zeros(0, np.int64)
    for start in range(0, len(tokens), batch):
        counts = token_counts(tokens[start : start + batch], counts)
    plain = Counter(token for row in rows for token in row)
    of_each = [[plain[token] for token in row] for row in rows]
    expected = {
        "max_frequency": [max(row) for row in of_each],
        "avg_frequency": [sum(row) / 4 for row in of_each],
        "min_frequency": [min(row) for row in of_each],
        "median_frequency": [statistics.median(row) for row in of_each],
    }
    found = token_frequencies(tokens, counts)
    assert tuple(found) == FREQUENCIES
    assert {name: values.tolist() for name, values in found.items()} == expected

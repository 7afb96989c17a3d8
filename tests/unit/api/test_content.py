"""Which texts are the same."""

from __future__ import annotations

import numpy as np
from tiny_language_model import PREFIX, some_tokens

from engram.api.content import all_halves, content_numbers, halves, seen_before


def test_numbers_are_equal_exactly_where_rows_are() -> None:
    rows = np.array([[1, 2, 3], [1, 2, 4], [1, 2, 3], [3, 2, 1]])
    numbers = content_numbers(rows)
    assert (numbers >= 0).all() and numbers.dtype == np.int64
    assert numbers[0] == numbers[2] and len(set(numbers)) == 3


def test_a_number_depends_on_its_row_alone() -> None:
    rows = some_tokens(5)
    np.testing.assert_array_equal(content_numbers(rows)[3:], content_numbers(rows[3:]))
    np.testing.assert_array_equal(content_numbers(rows.astype(np.uint16)), content_numbers(rows))


def test_a_text_is_known_by_its_prefix_or_its_suffix() -> None:
    seen, other = some_tokens(3), some_tokens(3, seed=1)
    chosen_by = all_halves(seen, PREFIX)
    assert len(chosen_by) == 6
    same_prefix, same_suffix, swapped = other.copy(), other.copy(), other.copy()
    same_prefix[:, :PREFIX] = seen[:, :PREFIX]
    same_suffix[:, PREFIX:] = seen[:, PREFIX:]
    swapped[:, :PREFIX] = seen[:, PREFIX:]
    assert seen_before(seen, PREFIX, chosen_by).all()
    assert seen_before(same_prefix, PREFIX, chosen_by).all()
    assert seen_before(same_suffix, PREFIX, chosen_by).all()
    assert not seen_before(other, PREFIX, chosen_by).any()
    assert not seen_before(swapped, PREFIX, chosen_by).any()


def test_prefixes_and_suffixes_are_told_apart() -> None:
    rows = np.tile(some_tokens(1, PREFIX), 2)
    ((prefix, suffix),) = halves(rows, PREFIX)
    assert prefix[1:] == suffix[1:] and prefix != suffix

"""Unrelated prefixes: other suffixes, other documents, no shared text, and always the same ones."""

import numpy as np
import pytest

from engram.io.errors import EngramError
from engram.windows.unrelated import Windows, pooled, unrelated_prefixes

PREFIX, WINDOW, COUNT = 8, 16, 8


def windows(n: int = 60) -> Windows:
    draw = np.random.default_rng(0)
    tokens = draw.integers(0, 1000, (n, WINDOW))
    document = np.array([f"d{row // 3}" for row in range(n)], object)
    return Windows(np.arange(100, 100 + n), tokens, document)


def drawn(some: Windows, all_: Windows, seed: int = 1) -> np.ndarray:
    pool = all_.rows(pooled(all_.sequence_id, seed))
    return unrelated_prefixes(some, pool, PREFIX, COUNT, seed)


def rows_of(prefixes: np.ndarray, all_: Windows) -> np.ndarray:
    """Rows that prefixes come from, where all are different."""
    place = {tuple(tokens[:PREFIX]): row for row, tokens in enumerate(all_.tokens.tolist())}
    return np.array([[place[tuple(one)] for one in own] for own in prefixes.tolist()])


def test_they_are_different_and_of_other_documents() -> None:
    every = windows()
    rows = rows_of(drawn(every, every), every)
    assert all(len(set(own)) == COUNT for own in rows.tolist())
    assert every.document is not None
    assert (every.document[rows] != every.document[:, None]).all()


def test_they_have_another_suffix_and_share_no_run() -> None:
    every = windows(40)
    every = Windows(every.sequence_id, every.tokens)
    every.tokens[1:20, PREFIX:] = every.tokens[0, PREFIX:]  # one content group
    every.tokens[30, :PREFIX] = every.tokens[0, 4 : 4 + PREFIX]  # text of the first, elsewhere
    for seed in range(20):
        own = rows_of(drawn(every.rows(slice(0, 1)), every, seed), every)[0]
        assert set(own) <= set(range(20, 40)) - {30}


def test_order_and_company_change_nothing() -> None:
    every = windows()
    whole, turned = drawn(every, every), np.arange(len(every.tokens))[::-1]
    np.testing.assert_array_equal(drawn(every.rows(turned), every.rows(turned)), whole[turned])
    np.testing.assert_array_equal(drawn(every.rows(slice(7, 9)), every), whole[7:9])


def test_the_seed_decides() -> None:
    every = windows()
    assert (drawn(every, every, 1) != drawn(every, every, 2)).any()


def test_too_few_are_refused() -> None:
    every = windows(9)
    with pytest.raises(EngramError, match=r"prior\.prefixes: sequence_id 10\d has 6 unrelated"):
        drawn(every, every)

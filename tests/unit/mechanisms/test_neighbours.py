"""Neighbours of texts: the nearest tokens, and draws that belong to the text."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_mechanisms import SIX, slow_neighbours
from tiny_models import VOCABULARY, gpt_neox, random_tokens
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.mechanisms import neighbours as module
from engram.mechanisms.neighbours import draw_neighbours, nearest_tokens


def drawn(model: PreTrainedModel, row: np.ndarray, seed: int = 4) -> np.ndarray:
    return draw_neighbours(row, nearest_tokens(model, row, 6), 5, 0.4, seed)


@pytest.mark.parametrize("architecture", SIX)
def test_neighbours_equal_the_slow_implementation(architecture: str) -> None:
    model, (row,) = SIX[architecture](), random_tokens(1, 12)
    expected = slow_neighbours(model, row, 5, 0.4, 6, 4)
    np.testing.assert_array_equal(drawn(model, row), expected)
    assert 0.1 < (expected != row).mean() < 0.7


def test_the_nearest_come_first_and_ties_go_to_the_lower_token() -> None:
    model = gpt_neox()
    with torch.no_grad():
        table = model.get_input_embeddings().weight
        table[40:] = table[3]  # longer or not: the cosine does not see it
        table[60:] *= torch.rand(VOCABULARY - 60, 1) + 0.5
        table[50] = 0
    nearest = nearest_tokens(model, np.array([3, 45, 50]), 20)
    assert nearest[0].tolist() == [*range(40, 50), *range(51, 61)]
    assert nearest[1].tolist() == [3, *range(40, 45), *range(46, 50), *range(51, 61)]
    assert nearest[2].tolist() == [*range(20)]  # an embedding of 0 is like none


def test_nearest_tokens_do_not_depend_on_their_company(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokens = gpt_neox(), np.arange(VOCABULARY)
    together = nearest_tokens(model, tokens, 20)
    monkeypatch.setattr(module, "QUERIES", 7)
    np.testing.assert_array_equal(nearest_tokens(model, tokens, 20), together)
    np.testing.assert_array_equal(nearest_tokens(model, tokens[5:6], 20), together[5:6])


def test_draws_belong_to_seed_and_text() -> None:
    model, (a, b) = gpt_neox(), random_tokens(2, 12)
    np.testing.assert_array_equal(drawn(model, a), drawn(model, a.astype(np.int32)))
    assert not np.array_equal(drawn(model, a), drawn(model, a, seed=5))
    assert not np.array_equal(drawn(model, a) != a, drawn(model, b) != b)


def test_a_share_of_the_tokens_is_replaced() -> None:
    row, nearest = np.zeros(64, np.int64), np.ones((64, 1), np.int64)
    assert 0.25 < draw_neighbours(row, nearest, 200, 0.3, 0).mean() < 0.35
    assert draw_neighbours(row, nearest, 3, 1.0, 0).all()
    assert not draw_neighbours(row, nearest, 3, 0.0, 0).any()
    assert draw_neighbours(row, nearest, 0, 0.3, 0).shape == (0, 64)


@pytest.mark.parametrize("count", [0, VOCABULARY])
def test_more_neighbours_than_the_vocabulary_has_are_refused(count: int) -> None:
    with pytest.raises(EngramError, match=f"nearest: {count}; the vocabulary of 97 tokens has 1"):
        nearest_tokens(gpt_neox(), np.array([3]), count)

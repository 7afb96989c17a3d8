"""What a text shows by itself."""

import numpy as np
import pytest

from engram.windows.rouge import prefix_suffix_rouge
from engram.windows.shown_text import holds_run, text_measures

RUN = 4


def test_measures_count_different_tokens_and_overlap() -> None:
    tokens = np.array([[1, 2, 3, 1, 1, 1], [1, 2, 3, 1, 2, 3], [1, 2, 3, 4, 5, 6]])
    measures = text_measures(tokens, prefix=3)
    assert measures["distinct_suffix"].tolist() == [1, 3, 3]
    assert measures["distinct_window"].tolist() == [3, 3, 6]
    rouge_l, rouge_3 = prefix_suffix_rouge(tokens, 3)
    assert (measures["rouge_l"] == rouge_l).all() and (measures["rouge_3"] == rouge_3).all()


def windows(*rows: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return windows 0, 1, … one by one."""
    return [(np.array([number]), np.array([row])) for number, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ([[9, 1, 2, 3, 4, 9]], [True]),  # at another offset
        ([[1, 2, 3, 9, 4, 5]], [False]),  # only three in a row
        ([[4, 3, 2, 1, 0, 0]], [False]),  # the order counts
    ],
)
def test_a_run_of_another_window_is_found_at_any_offset(texts, found) -> None:
    assert holds_run(np.array(texts), np.array([7]), windows([0, 0, 1, 2, 3, 4]), RUN).tolist() == (
        found
    )


def test_a_text_does_not_hold_a_run_of_itself() -> None:
    text = [1, 2, 3, 4, 5, 6]
    assert not holds_run(np.array([text]), np.array([1]), windows([0] * 6, text), RUN)[0]
    assert holds_run(np.array([text]), np.array([1]), windows(text, text), RUN)[0]
    assert holds_run(np.array([text]), np.array([0]), windows(text, text), RUN)[0]


def test_runs_are_those_of_a_plain_search() -> None:
    random = np.random.default_rng(0)
    texts, others = random.integers(0, 5, (40, 7)), random.integers(0, 5, (30, 9))
    ids = np.arange(40)
    parts = [(np.arange(100, 115), others[:15]), (np.arange(115, 130), others[15:])]
    held = {tuple(row[i : i + RUN]) for row in others for i in range(9 - RUN + 1)}
    plain = [any(tuple(row[i : i + RUN]) in held for i in range(7 - RUN + 1)) for row in texts]
    assert 0 < sum(plain) < 40
    assert holds_run(texts, ids, parts, RUN).tolist() == plain


def test_a_text_shorter_than_a_run_holds_none() -> None:
    assert not holds_run(np.ones((2, 3), int), np.arange(2), windows([1] * 6), RUN).any()
    assert holds_run(np.empty((0, 6), int), np.arange(0), windows([1] * 6), RUN).shape == (0,)

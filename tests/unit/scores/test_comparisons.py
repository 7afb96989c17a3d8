"""Differences and ranks of scores that were resampled together."""

from __future__ import annotations

import numpy as np
import pytest

from engram.scores.comparisons import differences, rank_intervals
from engram.scores.runs import Resampled


def scores(spread: float, *values: float) -> dict[str, Resampled]:
    """Scores a, b, … whose draws share most of their noise."""
    random = np.random.default_rng(0)
    shared = random.normal(size=2000)
    return {
        name: Resampled(value, value + 0.05 * shared + spread * random.normal(size=2000), 1e-3)
        for name, value in zip("abcd", values, strict=False)
    }


def test_a_difference_has_the_interval_of_the_paired_draws() -> None:
    (found,) = differences(scores(0.01, 0.6, 0.5), [("a", "b")])
    assert found.value == pytest.approx(0.1)
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(2) * 0.01, rel=0.06)
    assert (found.simultaneous_low, found.simultaneous_high) == (found.low, found.high)
    assert found.p == found.p_adjusted < 0.01


def test_a_family_has_wider_intervals_and_larger_p() -> None:
    pairs = [("a", "b"), ("b", "c"), ("c", "d")]
    for found in differences(scores(0.01, 0.6, 0.58, 0.57, 0.565), pairs):
        assert found.simultaneous_low < found.low < found.value
        assert found.value < found.high < found.simultaneous_high
        assert found.p < found.p_adjusted


def test_no_pairs_have_no_differences() -> None:
    assert differences(scores(0.01, 0.6), []) == []


def test_a_difference_names_its_columns() -> None:
    (found,) = differences(scores(0.01, 0.6, 0.5), [("a", "b")])
    assert list(found.columns()) == [
        "difference",
        "difference_low",
        "difference_high",
        "simultaneous_low",
        "simultaneous_high",
        "p",
        "p_adjusted",
    ]


def test_clearly_different_scores_keep_their_ranks() -> None:
    ranked = rank_intervals(scores(0.001, 0.5, 0.7, 0.6))
    assert ranked == {"a": (3, 3, 3), "b": (1, 1, 1), "c": (2, 2, 2)}


def test_scores_within_their_noise_change_ranks_and_equal_ones_share_the_better() -> None:
    ranked = rank_intervals(scores(0.02, 0.6, 0.6, 0.3))
    assert ranked == {"a": (1, 1, 2), "b": (1, 1, 2), "c": (3, 3, 3)}


def test_rank_intervals_hold_together() -> None:
    """Six equal scores and six that differ by about their noise: in 95 of 100 studies all true
    ranks lie in their intervals; intervals that hold one at a time miss one of them in most.
    """
    random, held = np.random.default_rng(0), 0
    truth = np.repeat([0.5, 0.52], 3)
    for _ in range(120):
        noise, draws = random.normal(0, 0.01, 6), random.normal(0, 0.01, (6, 400))
        scores = {
            k: Resampled(truth[k] + noise[k], truth[k] + noise[k] + draws[k], 1e-3)
            for k in range(6)
        }
        ranked = rank_intervals(scores)
        # Of equal scores the true ranks are all those that they share.
        held += all(
            low <= (truth > truth[k]).sum() + 1 and (truth >= truth[k]).sum() <= high
            for k, (_, low, high) in ranked.items()
        )
    assert held / 120 >= 0.92

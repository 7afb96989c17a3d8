"""Overlap of top heads: chance by simulation, planted sets, and the null of random classes."""

from __future__ import annotations

import numpy as np
import pytest

from engram.io.errors import EngramError
from engram.mechanisms.overlap import (
    chance_jaccard,
    head_overlap,
    jaccard,
    top_count,
    top_heads,
)

HEADS = 40


def losses(first: list[int], second: list[int], n: int = 60, noise: float = 0.3) -> np.ndarray:
    """Two classes of n texts each, which lose 1 without the heads named, (2n, HEADS)."""
    loss = np.random.default_rng(1).normal(0, noise, (2 * n, HEADS))
    loss[:n, first] += 1
    loss[n:, second] += 1
    return loss


LABEL = np.repeat(["a", "b"], 60)


def test_chance_is_the_mean_over_random_sets() -> None:
    generator = np.random.default_rng(0)
    sets = [
        np.isin(np.arange(30), generator.permutation(30)[:size])
        for _ in range(4000)
        for size in (6, 9)
    ]
    simulated = jaccard(np.array(sets[::2]), np.array(sets[1::2])).mean()
    assert chance_jaccard(30, 6, 9) == pytest.approx(simulated, abs=0.005)
    assert chance_jaccard(10_000, 2_000, 2_000) == pytest.approx(1 / 9, abs=1e-3)
    assert chance_jaccard(5, 5, 5) == 1


def test_top_heads_by_hand() -> None:
    loss = np.array([[0.1, 0.5, 0.5, -1.0], [3.0, 2.0, 1.0, 4.0]])
    assert top_heads(loss, 2).tolist() == [[False, True, True, False], [True, False, False, True]]
    assert top_heads(np.zeros(3), 1).tolist() == [True, False, False]
    assert jaccard(np.array([True, True, False]), np.array([False, True, True])) == 1 / 3
    assert top_count(144, 0.2) == 29 and top_count(3, 0.01) == 1
    for share in (0, 1.5, True):
        with pytest.raises(EngramError, match=r"share: .*; give the fraction of all heads"):
            top_count(10, share)


def test_classes_that_use_the_same_heads_are_like_random_classes() -> None:
    row = head_overlap(losses([*range(8)], [*range(8)]), LABEL, np.arange(120)).iloc[0]
    assert (row["first"], row["second"], row["top"], row["shared"]) == ("a", "b", 8, 8)
    assert row["jaccard"] == 1 and row["jaccard_high"] == 1
    assert row["p_chance"] < 1e-4 and row["p_null"] > 0.1
    assert row["chance"] == pytest.approx(chance_jaccard(HEADS, 8, 8))


def test_classes_that_use_other_heads_are_not() -> None:
    worth = np.random.default_rng(2).exponential(2, (2, HEADS))  # of every head to each class
    loss = losses([], []) + np.repeat(worth, 60, axis=0)
    row = head_overlap(loss, LABEL, np.arange(120)).iloc[0]
    first, second = (set(np.argsort(-of_class)[:8]) for of_class in worth)
    index = len(first & second) / len(first | second)
    assert row["jaccard"] == index < 0.4
    assert row["jaccard_low"] <= index <= row["jaccard_high"]
    assert row["p_null"] < 0.01 and row["null_low"] > index
    assert row["p_chance"] > 0.01


def test_pure_noise_overlaps_as_chance_does() -> None:
    rows = [
        head_overlap(
            np.random.default_rng(seed).normal(size=(120, HEADS)),
            LABEL,
            np.arange(120),
            resamples=20,
        ).iloc[0]
        for seed in range(60)
    ]
    mean = np.mean([row["jaccard"] for row in rows])
    assert mean == pytest.approx(rows[0]["chance"], abs=0.03)
    assert np.mean([row["null"] for row in rows]) == pytest.approx(rows[0]["chance"], abs=0.03)


def test_copies_of_texts_count_once() -> None:
    loss, group = losses([*range(8)], [*range(4, 12)], noise=2.0), np.arange(120)
    once = head_overlap(loss, LABEL, group, resamples=300).iloc[0]
    copied = head_overlap(
        np.tile(loss, (5, 1)), np.tile(LABEL, 5), np.tile(group, 5), resamples=300
    ).iloc[0]
    for column in ("jaccard", "jaccard_low", "jaccard_high", "null", "p_null"):
        assert copied[column] == pytest.approx(once[column], abs=1e-12), column

"""Means per class: exact means, intervals over whole content groups."""

from __future__ import annotations

import numpy as np

from engram.mechanisms.class_means import class_means


def test_means_are_those_of_each_class() -> None:
    values = np.array([[1.0, np.nan], [3.0, 2.0], [5.0, np.nan], [7.0, np.nan]])
    first, second = class_means(values, np.array(["b", "b", "a", "a"]), np.array([0, 1, 2, 2]))
    assert (first.name, first.n, first.groups) == ("b", 2, 2)
    assert (second.name, second.n, second.groups) == ("a", 2, 1)
    np.testing.assert_array_equal(first.mean, [2, 2])
    np.testing.assert_array_equal(second.mean, [6, np.nan])
    assert first.low[0] == 1 and first.high[0] == 3
    # A draw without the one value has no mean; a group of one text has no spread.
    assert first.low[1] == first.high[1] == 2
    assert second.low[0] == second.high[0] == 6
    assert np.isnan(second.low[1]) and np.isnan(second.high[1])


def test_copies_of_a_text_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(0).normal(size=(40, 1))
    once = next(class_means(values, np.zeros(40), np.arange(40)))
    copied = next(class_means(np.tile(values, (9, 1)), np.zeros(360), np.tile(np.arange(40), 9)))
    np.testing.assert_allclose([once.low, once.high], [copied.low, copied.high])
    counted = next(class_means(np.tile(values, (9, 1)), np.zeros(360), np.arange(360)))
    assert counted.high - counted.low < 0.6 * (once.high - once.low)

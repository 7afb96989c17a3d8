"""Two shares compared: Newcombe's published example, Fisher's test, Holm's correction."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from engram.scores.proportions import holm, share_difference


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        # Newcombe (1998), table II, method 10.
        ((56, 48), (70, 80), 0.0524, 0.3339),
        ((9, 3), (10, 10), 0.1705, 0.8090),
        ((10, 0), (10, 20), 0.6791, 1.0000),
    ],
)
def test_the_interval_is_newcombes(hits, trials, low: float, high: float) -> None:
    difference, p = share_difference(hits, trials, 0.95)
    assert difference.value == pytest.approx(hits[0] / trials[0] - hits[1] / trials[1])
    assert (difference.low, difference.high) == pytest.approx((low, high), abs=5e-5)
    table = [[hit, n - hit] for hit, n in zip(hits, trials, strict=True)]
    assert p == scipy.stats.fisher_exact(table)[1]


def test_holm_multiplies_the_smallest_most_and_keeps_the_order() -> None:
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03, 0.5])), [0.09, 0.04, 0.09, 0.5])
    assert holm(np.array([0.6, 0.7])).tolist() == [1.0, 1.0]

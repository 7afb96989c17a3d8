"""The test of equivalence: its verdicts, and how often it is wrong."""

import numpy as np
import pytest

from engram.scores.equivalence import equivalence

BOUND = 0.05


def draws(value: float, error: float, seed: int = 0, resamples: int = 2000) -> np.ndarray:
    return np.random.default_rng(seed).normal(value, error, resamples)


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [
        (0.0, 0.01, "equivalent"),
        (0.02, 0.005, "equivalent"),  # it is not 0, and too small to count
        (0.2, 0.02, "different"),
        (-0.2, 0.02, "different"),
        (0.0, 0.05, "inconclusive"),
        (0.05, 0.04, "inconclusive"),
    ],
)
def test_verdicts(value: float, error: float, verdict: str) -> None:
    assert equivalence(value, draws(value, error), BOUND, 0.95).verdict == verdict


def test_p_and_interval_decide_alike() -> None:
    for seed in range(50):
        value = float(np.random.default_rng(seed).uniform(-0.06, 0.06))
        found = equivalence(value, draws(value, 0.02, seed), BOUND, 0.95)
        within = found.narrow.low > -BOUND and found.narrow.high < BOUND
        assert within == (found.p_equivalent < 0.05) or abs(found.p_equivalent - 0.05) < 0.002
        assert (found.verdict == "equivalent") == within


def test_bias_of_the_draws_is_taken_back() -> None:
    found = equivalence(0.0, draws(0.01, 0.005), BOUND, 0.95)
    assert (found.narrow.low + found.narrow.high) / 2 == pytest.approx(-0.01, abs=0.001)


def test_a_difference_at_the_bound_is_rarely_called_equivalent() -> None:
    random, error, wrong = np.random.default_rng(0), 0.02, 0
    for seed in range(1000):
        value = BOUND + error * random.normal()
        found = equivalence(value, draws(value, error, seed, 400), BOUND, 0.95)
        wrong += found.verdict == "equivalent"
    assert wrong == pytest.approx(50, abs=20)  # 5 % of 1,000


def test_no_noise_proves_nothing() -> None:
    assert equivalence(0.0, np.zeros(100), BOUND, 0.95).verdict == "inconclusive"

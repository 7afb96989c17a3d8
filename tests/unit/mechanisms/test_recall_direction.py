"""The probe of recall: equal to a slow fit; what pairs share does not count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_mechanisms import SIX, states_of
from slow_steering import slow_probe
from tiny_models import LAYERS, WIDTH, random_tokens

from engram.io.errors import EngramError
from engram.mechanisms.recall_direction import (
    decoding_states,
    fit_direction,
    random_directions,
    separation,
)

WINDOW, PREFIX = 14, 8


@pytest.mark.parametrize("architecture", SIX)
def test_states_are_those_that_predict_the_suffix(architecture: str) -> None:
    model, tokens = SIX[architecture](), random_tokens(3, WINDOW)
    fast = decoding_states(model, tokens, PREFIX, 3, 2 * WINDOW)
    assert fast.shape == (3, LAYERS, 3, WIDTH)
    for row, sample in zip(fast, tokens, strict=True):
        states, _ = states_of(model, torch.from_numpy(sample))
        for depth in range(1, LAYERS + 1):
            # Six positions predict the suffix: 7 to 12; three of them, evenly spread.
            expected = states[depth][[7, 9, 12]].numpy()
            np.testing.assert_allclose(row[depth - 1], expected, atol=1e-5)
    everything = decoding_states(model, tokens, PREFIX, 99)
    assert everything.shape[2] == WINDOW - PREFIX


def drawn_states(n: int, places: int = 3, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    recalled = np.arange(n) % 2 == 0
    states = random.standard_normal((n, places, width)).astype(np.float32) * 3 + 1
    states[recalled, :, 2] += 4
    return states, recalled


@pytest.mark.parametrize("strength", [1.0, 0.01])
def test_the_probe_equals_newtons_method(strength: float) -> None:
    states, recalled = drawn_states(30)
    direction = fit_direction(states, recalled, 2, strength)
    weight, bias = slow_probe(states, recalled, strength)
    np.testing.assert_allclose(direction.weight, weight, atol=1e-5)
    assert direction.bias == pytest.approx(bias, abs=1e-5)
    np.testing.assert_allclose(direction.vector, weight / np.sqrt((weight**2).sum()), atol=1e-5)
    norms = [np.sqrt((state.astype(float) ** 2).sum()) for text in states for state in text]
    assert direction.unit == pytest.approx(sum(norms) / len(norms))
    assert direction.vector[2] > 0.9
    assert separation(direction.logits(states), recalled) > 0.9


def test_what_both_texts_of_a_pair_share_does_not_count() -> None:
    states, recalled = drawn_states(40)
    pair = np.arange(40) // 2
    # What pairs share is larger than anything else, and correlates with the class of extra texts.
    states[:, :, 4] += 20 * np.random.default_rng(2).standard_normal(20)[pair][:, None]
    extra = np.zeros((20, *states.shape[1:]), np.float32)
    extra[:, :, 4] = 60
    all_states = np.concatenate([states, extra])
    all_recalled = np.concatenate([recalled, np.ones(20, bool)])
    all_pairs = np.concatenate([pair, np.full(20, -1)])
    paired = fit_direction(all_states, all_recalled, 1, 0.01, all_pairs)
    unpaired = fit_direction(all_states, all_recalled, 1, 0.01)
    assert abs(paired.vector[4]) < 0.1 < abs(unpaired.vector[4])
    assert paired.vector[2] > 0.9
    centred = states - states.reshape(20, 2, *states.shape[1:]).mean(1).repeat(2, axis=0)
    weight, _ = slow_probe(centred, recalled, 0.01)
    np.testing.assert_allclose(paired.vector, weight / np.linalg.norm(weight), atol=1e-5)


def test_random_directions_have_the_same_probe_and_length() -> None:
    states, recalled = drawn_states(10)
    direction = fit_direction(states, recalled, 1, 0.01)
    drawn = random_directions(direction, 20, np.random.default_rng(0))
    assert len({other.vector.tobytes() for other in drawn}) == 20
    for other in drawn:
        assert np.linalg.norm(other.vector) == pytest.approx(1, abs=1e-6)
        assert other.steer(0.5).gain == direction.steer(0.5).gain == -0.5 * direction.unit
        assert other.weight is direction.weight and other.bias == direction.bias


def test_separation_is_the_share_of_pairs_in_order() -> None:
    recalled = np.array([True, False, True, False, False])
    assert separation(np.array([3.0, 1, 2, 2, 0]), recalled) == pytest.approx(5.5 / 6)
    assert np.isnan(separation(np.ones(2), np.ones(2, bool)))


def test_what_cannot_be_fitted_is_refused() -> None:
    states, recalled = drawn_states(4)
    with pytest.raises(EngramError, match="steering: no guessed text to fit the probe on"):
        fit_direction(states, np.ones(4, bool), 1, 0.01)
    with pytest.raises(EngramError, match="pair 7: 2 recalled and 1 guessed texts"):
        fit_direction(states, recalled, 1, 0.01, np.array([7, 7, 7, -1]))

"""Forwards of measures: those that a model really runs."""

from __future__ import annotations

from tiny_models import HEADS, LAYERS

from engram.mechanisms.cost import count_forwards
from engram.mechanisms.settings import MechanismsSettings

PREFIX, CLASSES = 8, 3
ON = {"enabled": True}


def counted(**changes: object) -> dict[str, int]:
    """Forwards of a run of three classes with two samples each."""
    settings = MechanismsSettings.parse({"samples_per_class": 2, **changes})
    return count_forwards(settings, LAYERS, HEADS, PREFIX, CLASSES)


def test_what_is_switched_off_costs_nothing() -> None:
    assert counted() == {}


def test_the_measures_of_one_section_are_counted_together() -> None:
    assert counted(enabled=True, alphas=[0.0, 0.1, 0.5], seeds=4) == {
        "noise": 6 * 9,
        "lens": 6 * 3,
        "heads": 6 * (1 + HEADS * (3 + 2 + 1) / LAYERS),
        "compression": 60,
    }
    assert counted(enabled=True, tuned_lens_steps=0)["lens"] == 6
    assert counted(enabled=True, scan=True)["compression"] == 6 * PREFIX
    assert counted(enabled=True, keep="onset")["compression"] == 6


def test_entropy_takes_a_forward_per_sample() -> None:
    assert counted(entropy=ON) == {"entropy": 6}


def test_remind_runs_samples_of_two_splits_and_their_neighbours() -> None:
    assert counted(remind={**ON, "samples_per_class": 5, "neighbours": 7}) == {
        "remind": 2 * 3 * 5 * 8
    }


def test_feed_forward_runs_blocks_and_sets_of_neurons() -> None:
    # Intact twice, blocks of three layers, sets of three classes, and activity.
    blocks = 2 + (3 + 2 + 1) / LAYERS
    neurons = {**ON, "shares": [0.1, 0.2], "draws": 4}
    assert counted(feed_forward=neurons) == {"feed_forward": 6 * (blocks + 3 * 2 * 5 + 1)}
    assert counted(feed_forward={**ON, "shares": []}) == {"feed_forward": 6 * blocks}
    with_means = counted(feed_forward={**ON, "shares": [], "operation": "mean"})
    assert with_means == {"feed_forward": 6 * (blocks + 2)}

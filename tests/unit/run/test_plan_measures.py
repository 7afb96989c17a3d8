"""The cost of the measures inside models: bounds, at the study's rates."""

import pandas as pd
import pytest

from engram.mechanisms.locality_settings import LocalitySettings
from engram.mechanisms.steering_settings import SteeringSettings
from engram.run.plan import Shape
from engram.run.plan_measures import COLUMNS, measures_text, plan_measures

SHAPE = Shape(layers=6, heads=8, width=512, weights=10**7, head_weights=10**6)
CONFIG = {
    "study": "x",
    "models": [{"name": "nursery", "source": "nursery"}],
    "taxonomies": ["Non-Memo, Guess, Code, Others", "Non-Memo, Code, Others"],
    "protocols": ["engram", "paper"],
}


def test_a_measure_costs_its_forwards_for_every_taxonomy_and_protocol() -> None:
    config = CONFIG | {
        "mechanisms": {"steering": {"enabled": True, "samples_per_class": 7}},
        "plan": {"forward": 1e12},
    }
    costs = plan_measures(config, {"nursery": (SHAPE, ()), "other": (SHAPE, (0,))})
    assert list(costs) == list(COLUMNS)
    assert costs["model"].tolist() == ["nursery", "other"]
    assert costs["measure"].tolist() == ["steering"] * 2
    settings, suffix = SteeringSettings(samples_per_class=7), SHAPE.forward_flops(32, 32)
    forwards = [  # one taxonomy has both classes
        2 * settings.forwards(4, 6, suffix / SHAPE.forward_flops(window, 32)) for window in (64, 65)
    ]
    assert costs["forwards"].tolist() == forwards
    assert forwards[0] < 0.6 * 2 * settings.forwards(4, 6)
    flops = SHAPE.forward_flops(64, 32) * forwards[0]
    assert costs["pflop"][0] == pytest.approx(flops / 1e15)
    assert costs["gpu_hours"][0] == pytest.approx(flops / 1e12 / 3600)
    assert costs["pflop"][1] > costs["pflop"][0]
    text = measures_text(costs)
    assert "steering" in text and "at most" in text


def test_an_attack_costs_its_forwards_and_backward_passes() -> None:
    mechanisms = {"locality": {"enabled": True, "steps": 7}}
    config = CONFIG | {"mechanisms": mechanisms, "protocols": ["engram"]}
    costs = plan_measures(config, {"nursery": (SHAPE, ())})
    assert costs["measure"].tolist() == ["locality"]
    assert costs["forwards"].tolist() == [LocalitySettings(steps=7).forwards(6, 8)]


def test_measures_of_mechanisms_are_added_up_over_the_localized_taxonomies() -> None:
    mechanisms = {
        "samples_per_class": 7,
        "entropy": {"enabled": True},
        "remind": {"enabled": True, "samples_per_class": 5, "neighbours": 3},
    }
    config = CONFIG | {"mechanisms": mechanisms}
    costs = plan_measures(config, {"nursery": (SHAPE, ())})
    assert costs["measure"].tolist() == ["entropy", "remind"]
    # Classes of two taxonomies, and two protocols.
    assert costs["forwards"].tolist() == [2 * (4 + 3) * 7, 2 * (4 + 3) * 2 * 5 * 4]


def test_measures_of_pairs_are_counted_for_both_models() -> None:
    drilling = {"design": "crossed", "crossed": {"low": 50, "high": 20, "templates": 30}}
    model = {"source": "nursery", "drilling": drilling}
    pair = [
        {"name": "a", "counterpart": "b", "arm": 1, **model},
        {"name": "b", "counterpart": "a", "arm": 2, **model},
    ]
    mechanisms = {"enabled": True, "measures": ["remind", "entropy"]}
    config = {"study": "x", "models": pair, "mechanisms": {"remind": {"neighbours": 3}}}
    shapes = {"a": (SHAPE, ()), "b": (SHAPE, ())}
    assert plan_measures(config, shapes).empty
    costs = plan_measures(config | {"crossed": {"mechanisms": mechanisms}}, shapes)
    assert costs["model"].tolist() == ["a", "a", "b", "b"]
    assert costs["measure"].tolist() == ["remind, of pairs", "entropy, of pairs"] * 2
    assert costs["forwards"].tolist() == [400, 100] * 2


def test_what_is_off_costs_nothing() -> None:
    costs = plan_measures(CONFIG, {"nursery": (SHAPE, ())})
    assert costs.empty and list(costs) == list(COLUMNS)
    assert measures_text(pd.DataFrame(columns=COLUMNS)) == ""

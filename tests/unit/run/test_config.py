"""The config: right ones are completed; random changes leave a valid config or a clear error."""

import copy
import json
import random
import re
from typing import Any

import pytest
import yaml
from configs import CLASSES, DEFAULT, MINIMAL, ROOT, changed, message
from mutations import mutated_config

from engram.io.errors import EngramError
from engram.run.config import complete
from engram.run.study_taxonomies import (
    localized,
    series_taxonomies,
    taxonomies,
)


@pytest.mark.parametrize(
    "config", [DEFAULT, CLASSES, MINIMAL], ids=["config.yaml", "classes", "minimal"]
)
def test_a_completed_config_is_valid_and_complete(config: dict) -> None:
    completed = complete(config)
    assert complete(completed) == completed


@pytest.mark.parametrize(
    ("study", "families", "models"), [("nursery-families", 3, 9), ("families", 6, 20)]
)
def test_studies_of_families_are_valid(study: str, families: int, models: int) -> None:
    config = complete(yaml.safe_load((ROOT / f"studies/{study}.yaml").read_text(encoding="utf-8")))
    assert len(config["models"]) == models
    assert len({model["family"] for model in config["models"]}) == families
    assert [each.name for each in series_taxonomies(config)] == ["Non-Memo, Guess, Others"]
    # One data order: models that are trained here differ in nothing but their shape.
    drillings = [(model["seed"], model["drilling"]) for model in config["models"]]
    assert all(drilling == drillings[0] for drilling in drillings)


def test_the_study_of_real_families_asks_both_models_for_text_of_the_same_packages() -> None:
    study = ROOT / "studies/real-families.yaml"
    config = complete(yaml.safe_load(study.read_text(encoding="utf-8")))
    one, other = config["models"]
    assert one["family"] != other["family"] and one["package"] != other["package"]
    for key in ("releases", "repeated", "seed"):
        assert one[key] == other[key]
    # Scores are shared with the studies of single models.
    for model in (one, other):
        single = yaml.safe_load((ROOT / f"studies/{model['name']}.yaml").read_text("utf-8"))
        (alone,) = complete(single)["models"]
        kept = ("package", "released", "releases", "unseen", "repeated", "early_exit", "seed")
        assert {key: alone[key] for key in kept} == {key: model[key] for key in kept}
        assert (single["prefix"], single["suffix"]) == (config["prefix"], config["suffix"])


def test_completion_leaves_the_given_config_alone() -> None:
    config = copy.deepcopy(MINIMAL)
    complete(config)
    assert config == MINIMAL


def keys(value: Any, where: str = "") -> set[str]:
    if isinstance(value, dict):
        return {f"{where}.{key}" for key in value}.union(
            *(keys(inner, f"{where}.{key}") for key, inner in value.items())
        )
    return (
        set().union(*(keys(inner, where) for inner in value)) if isinstance(value, list) else set()
    )


def test_a_minimal_config_gets_every_key() -> None:
    categories = [{"name": "X", "where": "is_code"}]
    full = changed("categories", to=categories)
    assert keys(complete(changed("categories", to=categories, of=MINIMAL))) == keys(complete(full))


def test_given_values_win() -> None:
    completed = complete(changed("cnn", "epochs", to=3, of=MINIMAL))
    assert completed["cnn"]["epochs"] == 3
    assert completed["cnn"]["batch_size"] == 16


def test_a_model_has_the_study_seed_unless_it_has_its_own() -> None:
    models = [{"name": "a", "source": "nursery"}, {"name": "b", "source": "nursery", "seed": 7.0}]
    completed = complete(MINIMAL | {"seed": 3, "models": models})
    assert [model["seed"] for model in completed["models"]] == [3, 7]
    assert type(completed["models"][1]["seed"]) is int


def test_two_completions_share_nothing() -> None:
    first = complete(MINIMAL)
    first["cnn"]["kernels"].append(99)
    first["models"][0]["drilling"]["schedule"].clear()
    assert complete(MINIMAL) != first


def test_two_models_share_nothing() -> None:
    first, second = complete(
        changed("models", to=[{"name": name, "source": "nursery"} for name in "ab"], of=MINIMAL)
    )["models"]
    first["drilling"]["schedule"].clear()
    first["drilling"]["training"]["batch_size"] = 1
    assert second["drilling"]["schedule"] and second["drilling"]["training"]["batch_size"] != 1


def test_the_order_of_keys_is_not_that_of_the_file() -> None:
    """Snakemake compares params as they are written."""

    def reversed_keys(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: reversed_keys(value[key]) for key in reversed(value)}
        return list(map(reversed_keys, value)) if isinstance(value, list) else value

    assert json.dumps(complete(reversed_keys(CLASSES))) == json.dumps(complete(CLASSES))


def test_whole_floats_become_integers_where_integers_are_wanted() -> None:
    completed = complete(changed("samples", "per_class", to=400.0))
    assert type(completed["samples"]["per_class"]) is int
    assert type(complete(changed("cnn", "dropout", to=0))["cnn"]["dropout"]) is float


def test_the_text_that_samples_show_has_three_names_and_true_may_be_bare() -> None:
    assert complete(MINIMAL)["samples"]["shown"] == "own"
    for given, shown in ((True, "true"), ("true", "true"), ("own-for-all", "own-for-all")):
        assert complete(MINIMAL | {"samples": {"shown": given}})["samples"]["shown"] == shown
    for value in (False, "false", 2, None):
        assert "samples.shown: " in message(MINIMAL | {"samples": {"shown": value}})


FULL = complete(
    changed(
        "categories",
        to=[{"name": "X", "where": "rouge_l > r", "parameters": ["r"], "defaults": [0.5]}],
    )
)


@pytest.mark.parametrize("block", range(10))
def test_a_random_mutation_is_a_clear_error_or_a_valid_config(block: int) -> None:
    r = random.Random(block)
    for _ in range(60):
        config = mutated_config(r, r.choice([DEFAULT, CLASSES, FULL]))
        if r.random() < 0.3:
            config = mutated_config(r, config)
        try:
            completed = complete(config)
        except EngramError as error:
            lines = str(error).splitlines()
            assert lines and all(
                re.match(r"[^:]+: .", line) and line.isprintable() for line in lines
            ), str(error)
        else:
            assert complete(completed) == completed
            paired = any(model["arm"] for model in completed["models"])
            assert paired or (taxonomies(completed) and localized(completed))

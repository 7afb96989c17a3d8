"""The config: wrong ones give one clear line per mistake and never a traceback, right ones are
completed.
"""

import copy
import datetime
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from mutations import mutated_config

from engram.io.errors import EngramError
from engram.run.config import complete
from engram.run.study_taxonomies import (
    attacked,
    compared_classes,
    localized,
    series_taxonomies,
    steered,
    taxonomies,
    used_categories,
)

ROOT = Path(__file__).parents[3]
DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
CLASSES = yaml.safe_load((ROOT / "studies/classes.yaml").read_text(encoding="utf-8"))
CROSSED = yaml.safe_load((ROOT / "studies/crossed.yaml").read_text(encoding="utf-8"))
OWN_TABLE = {
    "name": "own",
    "source": "table",
    "model": "a/b",
    "revision": "v1",
    "table": "t.csv",
    "columns": {"tokens": "ids"},
}
MINIMAL = {
    "study": "x",
    "models": [{"name": "nursery", "source": "nursery"}],
    "taxonomies": ["Non-Memo, Guess, Others"],
}


def changed(*path: str | int, to: Any, of: dict = CLASSES) -> dict:
    """A config with the value at `path` replaced; folders on the way are made."""
    config = copy.deepcopy(of)
    place: Any = config
    for key in path[:-1]:
        place = place[key] if isinstance(place, list) else place.setdefault(key, {})
    place[path[-1]] = to
    return config


def message(config: Any) -> str:
    with pytest.raises(EngramError) as caught:
        complete(config)
    return str(caught.value)


# --- completion
# --------------------------------------------------------------------------------------------------


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


def test_taxonomies_by_slug_in_order() -> None:
    completed = complete(
        changed("taxonomies", to=["Non-Memo, Guess, Others", "Non-Memo,Recite[1000],Others"])
    )
    found = {slug: taxonomy.name for slug, taxonomy in taxonomies(completed).items()}
    assert found == {
        "non-memo_guess_others": "Non-Memo, Guess, Others",
        "non-memo_recite-1k_others": "Non-Memo, Recite[1k], Others",
    }


@pytest.mark.parametrize(
    ("localize", "slugs"),
    [
        ([], ["non-memo_guess_others", "non-memo_code_others"]),
        (["Non-Memo, Code, Others"], ["non-memo_code_others"]),
        (["Non-Memo,Guess,Others", "Non-Memo, Guess[0.5-0.5], Others"], ["non-memo_guess_others"]),
    ],
)
def test_localized_taxonomies(localize: list[str], slugs: list[str]) -> None:
    config = changed(
        "taxonomies", to=["Non-Memo, Guess, Others", "Non-Memo, Code, Others"], of=MINIMAL
    )
    assert localized(complete(changed("saliency", "localize", to=localize, of=config))) == slugs


def test_steered_are_localized_taxonomies_with_both_classes() -> None:
    names = ["Non-Memo, Guess, Others", "Non-Memo, Guess", "Guess, Others"]
    config = MINIMAL | {"taxonomies": names}
    assert steered(complete(config)) == []
    steering = {"enabled": True}
    config |= {"mechanisms": {"steering": steering}, "saliency": {"localize": names[:2]}}
    assert steered(complete(config)) == ["non-memo_guess_others"]
    steering |= {"recalled": "Guess", "kept": "Non-Memo"}
    assert len(steered(complete(config))) == 2
    config = MINIMAL | {"taxonomies": [*names, "Non-Memo, Code, Others"]}
    assert attacked(complete(config)) == []
    config |= {"mechanisms": {"locality": {"enabled": True}}}
    assert attacked(complete(config)) == ["non-memo_guess_others", "guess_others"]


@pytest.mark.parametrize(
    ("place", "to", "used"),
    [
        (("taxonomies",), ["Non-Memo, Guess, Others"], []),
        (("taxonomies",), ["Non-Memo, Long[5]-or-Guess, Others"], ["Long"]),
        (("flow",), ["Non-Memo, Rare, Others", "Non-Memo, Guess, Others"], ["Rare"]),
        (("search", "categories"), ["Long[3]", "Guess"], ["Long"]),
    ],
)
def test_used_categories_are_those_that_something_names(
    place: tuple, to: list[str], used: list[str]
) -> None:
    categories = [
        {"name": "Rare", "where": "sequence_duplicates < 3"},
        {"name": "Long", "where": "sequence_duplicates > n", "parameters": ["n"]},
    ]
    config = complete(changed(*place, to=to, of=MINIMAL | {"categories": categories}))
    assert [category["name"] for category in used_categories(config)] == used


# --- mistakes
# --------------------------------------------------------------------------------------------------

WHOLE: list[tuple[Any, str]] = [
    (None, "config: null is not a mapping of keys to values"),
    ([], "config: [] is not a mapping of keys to values"),
    ("study", "config: 'study' is not a mapping of keys to values"),
    ({}, "config: study, models are missing"),
]


@pytest.mark.parametrize(("config", "expected"), WHOLE)
def test_what_is_no_config(config: Any, expected: str) -> None:
    assert message(config) == expected


MISTAKES: dict[str, tuple[dict, str]] = {
    "unknown key": (
        changed("modles", to=[]),
        "config: unknown key modles (did you mean models?); known are ",
    ),
    "unknown key below": (
        changed("cnn", "kernel", to=6),
        "cnn: unknown key kernel (did you mean kernels?); known are ",
    ),
    "unknown key in a list": (
        changed("models", 0, "revisions", to="x"),
        "models.0: unknown key revisions (did you mean revision?); known are ",
    ),
    "key of two lines": (changed("a\nb", to=1), "config: unknown key a b; known are "),
    "key that is not text": (
        changed(None, to=1),
        "config: a key of type NoneType is not text; put it in quotes",
    ),
    "missing key": (
        {k: v for k, v in CLASSES.items() if k != "models"},
        "config: models is missing",
    ),
    "missing key in a list": (
        changed("models", 0, to={"name": "a"}),
        "models.0: source is missing",
    ),
    "wrong type": (changed("seed", to="one"), "seed: 'one' is not an integer"),
    "a truth for a number": (changed("seed", to=True), "seed: true is not an integer"),
    "a truth for a name": (changed("study", to=True), "study: true is not text; put it in quotes"),
    "nothing": (changed("samples", to=None), "samples: null is not a mapping of keys to values"),
    "a number for a list": (changed("cnn", "kernels", to=6), "cnn.kernels: 6 is not a list"),
    "a list for a number": (changed("prefix", to=[32]), "prefix: [32] is not an integer"),
    "a fraction for a count": (
        changed("cnn", "epochs", to=1.5),
        "cnn.epochs: 1.5 is not an integer",
    ),
    "negative size": (
        changed("samples", "per_class", to=-5),
        "samples.per_class: -5 is less than the minimum, 10",
    ),
    "zero rate": (
        changed("cnn", "learning_rate", to=0),
        "cnn.learning_rate: 0 is not greater than 0",
    ),
    "share of one": (changed("samples", "train", to=1), "samples.train: 1 is not less than 1"),
    "large dropout": (
        changed("cnn", "weight_decay", to=7),
        "cnn.weight_decay: 7 is greater than the maximum, 1",
    ),
    "empty list": (changed("models", to=[]), "models: [] has too few items; the minimum is 1"),
    "long text": (changed("taxonomies", to=["x" * 201]), "is longer than 200 characters"),
    "short text": (
        changed("taxonomies", to=["x"]),
        "taxonomies.0: 'x' is shorter than 3 characters",
    ),
    "repeated item": (
        changed("cnn", "kernels", to=[6, 6]),
        "cnn.kernels: 6 appears twice in [6, 6]",
    ),
    "not a number": (
        changed("samples", "train", to=float("nan")),
        "samples.train: nan is not a finite number",
    ),
    "infinite": (
        changed("samples", "per_class", to=float("inf")),
        "samples.per_class: inf is not a finite number",
    ),
    "huge": (
        changed("samples", "per_class", to=10**30),
        "samples.per_class: a number beyond 2^63 is too large",
    ),
    "huger than Python prints": (
        changed("seed", to=1 << 20_000),
        "seed: a number beyond 2^63 is too large",
    ),
    "huge and real": (
        changed("samples", "per_class", to=1e300),
        "samples.per_class: a number beyond 2^63 is too large",
    ),
    "seed of 33 bits": (
        changed("seed", to=2**32),
        "seed: 4294967296 is greater than the maximum, 4294967295",
    ),
    "path as a study": (
        changed("study", to="../x"),
        "study: '../x' is not a name; use lower-case letters",
    ),
    "path as a model": (
        changed("models", 0, "name", to="a/b"),
        "models.0.name: 'a/b' is not a name",
    ),
    "absolute path": (changed("study", to="/tmp"), "study: '/tmp' is not a name"),
    "dots": (changed("study", to=".."), "study: '..' is not a name"),
    "empty name": (changed("study", to=""), "study: '' is not a name"),
    "blank": (changed("study", to="my study"), "study: 'my study' is not a name"),
    "wildcard": (changed("study", to="{model}"), "study: '{model}' is not a name"),
    "line feed after a name": (changed("study", to="demo\n"), "study: 'demo\\n' is not a name"),
    "NUL": (
        changed("models", 0, "base", to="a\0b"),
        "models.0.base: the text 'a\\x00b' contains the control character '\\x00'; remove it",
    ),
    "surrogate": (
        changed("figures", "colormap", to="\ud800"),
        "figures.colormap: the text '\\ud800' contains the control character",
    ),
    "study of the base": (
        changed("study", to="nursery_base"),
        "study: results/nursery_base/ is where",
    ),
    "family of one model": (
        changed("models", 0, "family", to="Pythia"),
        "models: family `Pythia` has one model; a line over sizes needs two or more",
    ),
    "name of a family": (
        changed("models", 0, "family", to="a/b"),
        "models.0.family: 'a/b'",
    ),
    "windows of no family": (
        changed("series", to={"where": "exposures > 0"}),
        "series.where: no model has a `family`",
    ),
    "windows of a series": (
        MINIMAL
        | {
            "models": [{"name": n, "source": "nursery", "family": "A"} for n in ("a", "b")],
            "series": {"where": "exposures >"},
        },
        "predicate `exposures >`",
    ),
    "reversed band": (
        changed("series", to={"half_low": 0.7}),
        "series.half_low: 0.7 is greater than half_high, 0.6",
    ),
    "shape of another source": (
        MINIMAL | {"models": [OWN_TABLE | {"shape": {"architecture": "llama"}}]},
        "models: own: source table does not use `shape`",
    ),
    "heads of a shape": (
        changed("models", 0, "shape", to={"architecture": "llama", "width": 100, "heads": 6}),
        "models: shape.width: 100 is not an even multiple of heads, 6",
    ),
    "taxonomy of a series": (
        changed("series", to={"taxonomies": ["Non-Memo, Gues, Others"]}),
        "taxonomy `Non-Memo, Gues, Others`: unknown class `Gues`",
    ),
    "model called tables": (
        changed("models", 0, "name", to="tables"),
        "models: results/classes/tables is not a model's folder",
    ),
    "model called report": (
        changed("models", 0, "name", to="report.html"),
        "models: results/classes/report.html is not a model's folder",
    ),
    "two models of one name": (
        changed("models", to=MINIMAL["models"] * 2),
        "models: 2 models are named nursery",
    ),
    "key of another source": (
        changed("models", 0, "stride", to=8),
        "models: nursery: source nursery does not use `stride`, it is a key of corpus; leave it "
        "out",
    ),
    "twin of the nursery": (
        changed("models", 0, "twin", to="owner/twin"),
        "models: nursery: source nursery does not use `twin`",
    ),
    "repository without a revision": (
        changed(
            "models",
            to=[{"name": "a", "source": "corpus", "model": "owner/model", "documents": "texts"}],
            of=MINIMAL,
        ),
        "models: a: model owner/model is no folder here, so it is taken for a repository, which "
        "needs `revision`",
    ),
    "classifier of code without a revision": (
        changed("code_classifier", to={"model": "owner/classifier"}),
        "code_classifier.model: owner/classifier is neither a file nor a folder here, so it is "
        "taken for a repository, which needs",
    ),
    "revision of no classifier": (
        changed("code_classifier", to={"revision": "main"}),
        "code_classifier.model: it is empty",
    ),
    "duplicates that a table lacks": (
        changed(
            "models",
            to=[OWN_TABLE],
            of=MINIMAL | {"taxonomies": ["Non-Memo, Guess, Others", "Non-Memo, Recite[5], Others"]},
        ),
        "models: own: `columns` names no sequence_duplicates, which taxonomy `Non-Memo, Recite[5], "
        "Others` reads",
    ),
    "unknown source": (
        changed("models", 0, "source", to="hbu"),
        "models.0.source: 'hbu' is not 'nursery', 'hub', 'table', 'corpus' or "
        "'packages' (did you mean hub?)",
    ),
    "unknown protocol": (
        changed("protocols", to=["papre"]),
        "protocols.0: 'papre' is not 'engram', 'paper' or 'reference' (did you mean paper?)",
    ),
    "window too short": (
        changed("prefix", to=4, of=changed("suffix", to=4)),
        "cnn.kernels: 6 is too large for windows of prefix + suffix = 8",
    ),
    "prefix too long": (
        changed("prefix", to=1025),
        "prefix: 1025 is greater than the maximum, 1024",
    ),
    "no suffix": (changed("suffix", to=0), "suffix: 0 is less than the minimum, 4"),
    "splits without a test": (
        changed("samples", "train", to=0.8),
        "samples: train 0.8 and validation 0.2 leave nothing to test on",
    ),
    "minimum above size": (
        changed("samples", "minimum", to=500),
        "samples.minimum: 500 is greater than samples.per_class, 400",
    ),
    "unknown category": (
        changed("taxonomies", to=["Non-Memo, Recal, Others"]),
        "unknown class `Recal`; the categories are",
    ),
    "no taxonomy": (
        changed("taxonomies", to=["Non-Memo"]),
        "taxonomy `Non-Memo`: at least two classes are needed",
    ),
    "one taxonomy twice": (
        changed("taxonomies", to=["Non-Memo, Code", "Non-Memo,Code"]),
        "are one taxonomy or have one folder name",
    ),
    "localized elsewhere": (
        changed("saliency", "localize", to=["Non-Memo, Code"]),
        "`Non-Memo, Code` is not among the study's taxonomies",
    ),
    "knocked out elsewhere": (
        changed("knockout", "taxonomies", to=["Non-Memo, Code"]),
        "knockout.taxonomies: `Non-Memo, Code` is not among the localized taxonomies",
    ),
    "a band from far to near": (
        changed("knockout", "bands", to=[[4, 2]]),
        "knockout.bands: [4, 2] runs from far to near",
    ),
    "steered classes that no taxonomy has": (
        changed("mechanisms", "steering", to={"enabled": True, "recalled": "Recite[5]"}),
        "mechanisms.steering: no localized taxonomy has the class Recite[5] and the class Guess; "
        "name classes of one of Non-Memo, Guess, Others",
    ),
    "an attacked class that no taxonomy has": (
        changed("mechanisms", "locality", to={"enabled": True, "recalled": "Recite[5]"}),
        "mechanisms.locality: no localized taxonomy has the class Recite[5] and the class Guess; "
        "name classes of one of Non-Memo, Guess, Others",
    ),
    "a class that is steered and kept": (
        changed("mechanisms", "steering", to={"recalled": "Guess"}),
        "mechanisms.steering.kept: `Guess` is also `recalled`; name another class",
    ),
    "localized nonsense": (
        changed("saliency", "localize", to=["x"]),
        "taxonomy `x`: unknown class `x`",
    ),
    "half a flow": (
        changed("flow", to=["Non-Memo, Code"]),
        "flow: only `Non-Memo, Code` is given; name two",
    ),
    "flow of nonsense": (
        changed("flow", to=["Non-Memo, Code", "x"]),
        "taxonomy `x`: unknown class `x`",
    ),
    "category of lower case": (
        changed("categories", to=[{"name": "x", "where": "is_code"}]),
        "category `x`: a name is capitalised words",
    ),
    "category of two lines": (
        changed("categories", to=[{"name": "X", "where": "a\n>"}]),
        "predicate `a >`: not an expression",
    ),
    "category twice": (
        changed("categories", to=[{"name": "X", "where": "is_code"}] * 2),
        "categories: X is defined twice",
    ),
    "unknown colours": (
        changed("figures", "colormap", to="jett"),
        "figures.colormap: matplotlib has no `jett`",
    ),
    "no colour": (
        changed("figures", "palette", to={"Guess": "orangish"}),
        "figures.palette.Guess: `orangish` is not a colour",
    ),
    "key that is not text below": (
        changed("figures", "palette", to={True: "red"}),
        "figures.palette: a key of type bool is not text",
    ),
    "width and heads": (
        changed("nursery_base", "heads", to=5),
        "nursery_base.width: 192 is not an even multiple of heads, 5",
    ),
    "odd head": (
        changed("nursery_base", "width", to=6 * 15),
        "nursery_base.width: 90 is not an even multiple of heads, 6",
    ),
    "a base's name that is no folder": (
        changed("nursery_base", "name", to="../second"),
        "nursery_base.name: `../second`; it names a folder",
    ),
    "a base to share with that is none": (
        changed("nursery_base", "shared", to="nowhere"),
        "nursery_base.shared: nowhere has no windows.parquet",
    ),
    "a quoted number": (
        changed("cnn", "epochs", to="15"),
        "cnn.epochs: '15' is not an integer; remove the quotes",
    ),
    "an exponent that YAML reads as text": (
        changed("plan", "forward", to="3e14"),
        "plan.forward: '3e14' is not a number; YAML wants a point and a sign, 3.0e+14",
    ),
    "a layer for a class that is not there": (
        changed("saliency", "shown_layers", to=[{"name": "Quote", "layer": 3}]),
        "saliency.shown_layers: `Quote` is not a class of the study's taxonomies; name one of",
    ),
    "two layers of one class": (
        changed("saliency", "shown_layers", to=2 * [{"name": "Guess", "layer": 3}]),
        "saliency.shown_layers: Guess appears twice; give each class one layer",
    ),
    "a model named like the sum over models": (
        changed("models", 0, "name", to="all"),
        "models: results/classes/all is not a model's folder",
    ),
    "pooling that leaves nothing": (
        changed("cnn", "pooling_kernel", to=8),
        "cnn.kernels: 6 with cnn.pooling_kernel 8 is too large for windows of prefix + suffix = 64",
    ),
    "a date for a name": (
        changed("study", to=datetime.date(2025, 8, 4)),
        "study: 2025-08-04 is not text; put it in quotes",
    ),
    "a set for a list": (
        changed("cnn", "kernels", to={6}),
        "cnn.kernels: {6} is not a list",
    ),
    "a region of a few cells": (
        changed("knockout", "sizes", to=[0.001, 0.01]),
        "knockout.sizes.0: 0.001 is less than the minimum, 0.003",
    ),
    "a band of three": (
        changed("knockout", "bands", to=[[1, 2, 3]]),
        "knockout.bands.0: [1, 2, 3] has too many items; the maximum is 2",
    ),
    "seed too large to be doubled": (
        changed("cnn", "seeds", to=[2**31], of=changed("protocols", to=["reference"])),
        "cnn.seeds: 2147483648 is too large for the protocol `reference`",
    ),
    "one category to search": (
        changed("search", "categories", to=["Guess"]),
        "search.categories: `Guess` alone can be neither merged nor ordered",
    ),
    "blocks that leave nothing": (
        changed("attention", "block", to=16),
        "cnn.kernels: 6 is too large for windows of prefix + suffix = 64 tokens in 4 blocks of "
        "attention.block; take smaller kernels",
    ),
    "blocks under the paper's protocol": (
        changed("attention", "block", to=2, of=changed("protocols", to=["engram", "paper"])),
        "attention.block: 2; the protocol `paper` has a cell for every token, set it to 1",
    ),
    "blocks of a crossed pair": (
        changed("attention", "block", to=2, of=CROSSED),
        "attention.block: 2; crossed pairs are compared token by token, set it to 1",
    ),
    "row below window": (
        changed("nursery_base", "text", "row_tokens", to=32),
        "nursery_base.text.row_tokens: 32 is less than prefix + suffix = 64",
    ),
}


@pytest.mark.parametrize(("config", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_clear_line(config: dict, expected: str) -> None:
    found = message(config)
    assert expected in found
    assert "\n" not in found


def test_several_mistakes_are_several_lines() -> None:
    schema = message(
        changed("seed", to=-1, of=changed("prefix", to=1, of=changed("x", to=1)))
    ).splitlines()
    assert [line.split(":")[0] for line in schema] == ["config", "prefix", "seed"]
    sense = message(
        changed("taxonomies", to=["Guess"], of=changed("samples", "train", to=0.9))
    ).splitlines()
    assert [line.split(":")[0] for line in sense] == ["samples", "taxonomy `Guess`"]


@pytest.mark.parametrize(
    ("place", "values"),
    [
        (("knockout", "bands"), [[4, 2], [9, 3]]),
        (("search", "categories"), ["Guess, Code", "Guess-or-Code"]),
        (("flow",), ["x", "y"]),
    ],
)
def test_every_wrong_item_has_a_line(place: tuple, values: list) -> None:
    assert len(message(changed(*place, to=values)).splitlines()) == 2


OWNERS = {
    ("nursery", "twin"): "hub, table, corpus, packages",
    ("nursery", "model"): "hub, table, corpus, packages",
    ("hub", "stride"): "corpus",
    ("table", "documents"): "corpus",
    ("corpus", "columns"): "table",
    ("corpus", "releases"): "packages",
    ("hub", "base"): "nursery",
    ("hub", "drilling"): "nursery, table, corpus, packages",
}
RELEASES = [{"name": "django", "version": "6.1.3", "released": "2026-11-03"}]
VALID = {
    "nursery": MINIMAL["models"][0],
    "hub": {
        "name": "pythia-70m-v0",
        "source": "hub",
        "revision": "v1",
        "dataset_revision": "v1",
    },
    "table": OWN_TABLE,
    "corpus": {"name": "a", "source": "corpus", "model": "a/b", "revision": "v", "documents": "d"},
    "packages": {
        "name": "a",
        "source": "packages",
        "model": "a/b",
        "revision": "v",
        "released": "2024-11-01",
        "releases": RELEASES,
    },
}
GIVEN: dict[str, Any] = {
    "releases": RELEASES,
    "stride": 8,
    "columns": {"tokens": "t"},
    "drilling": {"replay_share": 0},
}


@pytest.mark.parametrize(("source", "key"), OWNERS)
def test_a_key_that_the_source_does_not_use_is_named(source: str, key: str) -> None:
    entry = VALID[source] | {key: GIVEN.get(key, "x")}
    assert message(MINIMAL | {"models": [entry]}) == (
        f"models: {entry['name']}: source {source} does not use `{key}`, it is a key of "
        f"{OWNERS[source, key]}; leave it out"
    )


@pytest.mark.parametrize("source", VALID)
def test_defaults_of_other_sources_are_let_through(source: str) -> None:
    completed = complete(MINIMAL | {"models": [VALID[source]]})
    assert complete(completed) == completed


def test_nesting_without_end_is_a_mistake() -> None:
    circle: list = []
    circle.append(circle)
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    for value in (circle, deep):
        assert "nested deeper than 12 levels" in message(changed("taxonomies", to=value))


def test_categories_of_one_folder_name_are_refused() -> None:
    config = changed("categories", to=[{"name": "CODE", "where": "is_code"}])
    assert "have one folder name, non-memo_code" in message(
        changed("taxonomies", to=["Non-Memo, Code", "Non-Memo, CODE"], of=config)
    )


# --- mutations
# --------------------------------------------------------------------------------------------------

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


# --- models
# --------------------------------------------------------------------------------------------------


def test_what_a_model_reads_first_is_chosen_by_three_words() -> None:
    config = MINIMAL | {"models": [OWN_TABLE]}
    assert complete(config)["models"][0]["bos"] == "auto"
    for value in (True, False, "auto"):
        given = MINIMAL | {"models": [OWN_TABLE | {"bos": value}]}
        assert complete(given)["models"][0]["bos"] is value or value == "auto"
    for value, shown in (("true", "'true'"), (None, "null"), (2, "2")):
        said = message(MINIMAL | {"models": [OWN_TABLE | {"bos": value}]})
        assert f"bos: {shown} is not 'auto', true or false" in said
    said = message(changed("models", 0, "bos", to=True, of=MINIMAL))
    assert "source nursery does not use `bos`" in said


# --- samples
# --------------------------------------------------------------------------------------------------


def test_the_text_that_samples_show_has_three_names_and_true_may_be_bare() -> None:
    assert complete(MINIMAL)["samples"]["shown"] == "own"
    for given, shown in ((True, "true"), ("true", "true"), ("own-for-all", "own-for-all")):
        assert complete(MINIMAL | {"samples": {"shown": given}})["samples"]["shown"] == shown
    for value in (False, "false", 2, None):
        assert "samples.shown: " in message(MINIMAL | {"samples": {"shown": value}})


@pytest.mark.parametrize(
    ("pair", "error"),
    [
        (("Non-Memo, Code, Others", "Code", "Others"), "is not among the study's taxonomies"),
        (("Non-Memo, Guess, Others", "Code", "Others"), "`Code` is not a class of `Non-Memo, Gu"),
        (("Non-Memo, Guess, Others", "Guess", "Guess"), "`Guess` is given twice"),
    ],
)
def test_compared_classes_belong_to_a_taxonomy_of_the_study(
    pair: tuple[str, str, str], error: str
) -> None:
    config = {"study": "s", "models": [{"name": "a", "source": "nursery"}]}
    config["taxonomies"] = ["Non-Memo, Guess, Others"]
    config["matched"] = {"pairs": [dict(zip(("taxonomy", "first", "second"), pair, strict=True))]}
    with pytest.raises(EngramError, match=rf"matched\.pairs: .*{error}"):
        complete(config)


def test_compared_classes_go_by_the_names_that_are_trained() -> None:
    config = {"study": "s", "models": [{"name": "a", "source": "nursery"}]}
    config["taxonomies"] = ["Recite[5], Others", "Recollect[5], Others"]
    pair = {"taxonomy": "Recollect[5], Others", "first": "Recollect[5]", "second": "Others"}
    completed = complete(config | {"matched": {"pairs": [pair]}})
    (trained,) = compared_classes(completed)
    assert trained == {"taxonomy": "recite-5_others", "first": "Others", "second": "Recite[5]"}
    with pytest.raises(EngramError, match="needs a validation split"):
        complete(config | {"matched": {"pairs": [pair]}, "protocols": ["paper"]})

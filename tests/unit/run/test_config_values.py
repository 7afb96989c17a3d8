"""Wrong keys, types, numbers and names in a config: one clear line each."""

import datetime
from typing import Any

import pytest
from configs import CLASSES, changed, message, one_line

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
    "unknown source": (
        changed("models", 0, "source", to="hbu"),
        "models.0.source: 'hbu' is not 'nursery', 'hub', 'table', 'corpus' or "
        "'packages' (did you mean hub?)",
    ),
    "unknown protocol": (
        changed("protocols", to=["papre"]),
        "protocols.0: 'papre' is not 'engram', 'paper' or 'reference' (did you mean paper?)",
    ),
    "prefix too long": (
        changed("prefix", to=1025),
        "prefix: 1025 is greater than the maximum, 1024",
    ),
    "no suffix": (changed("suffix", to=0), "suffix: 0 is less than the minimum, 4"),
    "key that is not text below": (
        changed("figures", "palette", to={True: "red"}),
        "figures.palette: a key of type bool is not text",
    ),
    "a quoted number": (
        changed("cnn", "epochs", to="15"),
        "cnn.epochs: '15' is not an integer; remove the quotes",
    ),
    "an exponent that YAML reads as text": (
        changed("plan", "forward", to="3e14"),
        "plan.forward: '3e14' is not a number; YAML wants a point and a sign, 3.0e+14",
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
}


@pytest.mark.parametrize(("config", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_clear_line(config: dict, expected: str) -> None:
    assert expected in one_line(config)


def test_several_mistakes_are_several_lines() -> None:
    schema = message(
        changed("seed", to=-1, of=changed("prefix", to=1, of=changed("x", to=1)))
    ).splitlines()
    assert [line.split(":")[0] for line in schema] == ["config", "prefix", "seed"]
    sense = message(
        changed("taxonomies", to=["Guess"], of=changed("samples", "train", to=0.9))
    ).splitlines()
    assert [line.split(":")[0] for line in sense] == ["samples", "taxonomy `Guess`"]


def test_nesting_without_end_is_a_mistake() -> None:
    circle: list = []
    circle.append(circle)
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    for value in (circle, deep):
        assert "nested deeper than 12 levels" in message(changed("taxonomies", to=value))

"""`import engram as eg`: the names, and what they cost."""

from __future__ import annotations

import subprocess
import sys

import pytest

import engram as eg
from engram.io.shipped import PACKAGE

FUNCTIONS = (
    "load",
    "label",
    "attention",
    "audit",
    "localize",
    "knock_out",
    "open",
    "perturb",
    "lens",
    "tune_lens",
    "ablate_feed_forward",
    "ablate_heads",
    "cloze",
    "compress",
    "entropy",
    "remind",
    "steer",
    "attack",
)
DOOR = {
    *FUNCTIONS,
    *("prefix_suffix_rouge", "Taxonomy", "class_scores", "pooled_attention", "AttentionCNN"),
    *("EngramError", "__version__"),
}


def test_the_door_has_these_names_and_no_others() -> None:
    assert set(eg.__all__) == DOOR
    assert dir(eg) == sorted(DOOR)


@pytest.mark.parametrize("name", sorted(DOOR))
def test_a_name_is_what_its_module_defines(name: str) -> None:
    value = getattr(eg, name)
    assert value is getattr(eg, name)
    if name != "__version__":
        assert value.__name__ == name
        assert value.__module__.startswith("engram.")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_package_can_take_the_place_of_a_function(name: str) -> None:
    assert not (PACKAGE / name).exists() and not (PACKAGE / f"{name}.py").exists()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'engram' has no attribute 'lead'"):
        eg.lead  # noqa: B018


def test_the_import_loads_no_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import engram;"
        "print(sorted(m for m in set(sys.modules) - before if not m.startswith('_')))"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert done.stdout.strip() == "['engram']"


def test_a_star_import_brings_the_door() -> None:
    names: dict[str, object] = {}
    exec("from engram import *", names)
    assert set(names) >= DOOR

"""Versions: ranges in pyproject.toml, pins in envs/ and nowhere else."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from runpy import run_path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDED = [Requirement(text) for text in PROJECT["dependencies"]]
EXTRA = [Requirement(text) for texts in PROJECT["optional-dependencies"].values() for text in texts]
PINS = dict(
    line.split("==")
    for line in (ROOT / "envs/constraints.txt").read_text().splitlines()
    if "==" in line
)
generate = run_path(str(ROOT / "envs/generate.py"))


@pytest.mark.parametrize("need", [*NEEDED, *EXTRA], ids=lambda need: need.name)
def test_the_pin_lies_in_the_range(need: Requirement) -> None:
    assert PINS[need.name] in need.specifier, "run `make envs`"


@pytest.mark.parametrize("need", NEEDED, ids=lambda need: need.name)
def test_a_range_has_two_ends_and_pins_nothing(need: Requirement) -> None:
    assert sorted(part.operator for part in need.specifier) == ["<", ">="]


def test_the_conda_environment_has_the_pins_of_every_dependency() -> None:
    conda = (ROOT / "envs/engram.yaml").read_text()
    pins = sorted(f"{need.name}=={PINS[need.name]}" for need in NEEDED)
    assert re.findall(r"^      - (.+)$", conda, flags=re.MULTILINE) == pins, "run `make envs`"


def test_a_version_outside_its_range_is_not_pinned() -> None:
    with pytest.raises(
        SystemExit, match=r"torch 2\.0 is installed, pyproject.toml asks for torch>=3"
    ):
        generate["pinned"](["torch>=3"], {"torch": "2.0"})
    assert generate["pinned"](["b>=1", "A>=1"], {"a": "1", "b": "2"}) == ["A==1", "b==2"]

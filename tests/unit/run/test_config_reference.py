"""What is generated is up to date."""

import re
import tomllib
from pathlib import Path

from engram.run.config import load_schema
from engram.run.config_reference import insert, reference

ROOT = Path(__file__).parents[3]


def test_the_docs_have_the_config_reference_of_the_schema() -> None:
    page = (ROOT / "docs/config.md").read_text(encoding="utf-8")
    assert insert(page, reference(load_schema())) == page, "run `make docs`"


def test_the_reference_names_nested_keys() -> None:
    rows = reference(load_schema()).splitlines()
    assert any(
        row.startswith("| `models[].drilling.schedule[].exposures` | integer") for row in rows
    )


def test_every_pinned_dependency_is_constrained_to_the_same_version() -> None:
    pins = dict(
        line.split("==")
        for line in (ROOT / "envs/constraints.txt").read_text().splitlines()
        if "==" in line
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        name, version = requirement.split("==")
        assert pins[name] == version, "run `make envs`"


def test_the_conda_environment_has_every_dependency() -> None:
    conda = (ROOT / "envs/engram.yaml").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["dependencies"]) == set(
        re.findall(r"^      - (.+)$", conda, flags=re.MULTILINE)
    ), "run `make envs`"

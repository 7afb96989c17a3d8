"""Mutated configs through the real command: a mistake is said in one line and nothing runs,
anything else is a plan.

In process tests/unit/run/test_config.py tries 600; `make test-mutations` sends 20 to Snakemake,
`make test` three.
"""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest
import yaml
from checkout import ROOT, TINY, Checkout, copy_project
from mutations import mutated_config

COMMANDS = 20 if "ENGRAM_MUTATIONS" in os.environ else 3
STUDIES = [
    yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    for name in ("config.yaml", "studies/classes.yaml")
]
MISTAKES = re.compile(r"^The config has mistakes:\n((?:[^:\n]+: .+\n)+?)  File ", re.MULTILINE)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A fresh checkout."""
    return copy_project(tmp_path_factory.mktemp("engram"))


def written(seed: int, file: Path) -> None:
    """Writes a mutated config that YAML can hold."""
    r = random.Random(seed)
    while True:
        config = mutated_config(r, r.choice([*STUDIES, TINY]))
        try:
            text = yaml.safe_dump(config, sort_keys=False)
            yaml.safe_load(text)  # a list as a key can be written and not be read
        except yaml.YAMLError:
            continue
        file.write_text(text)
        return


@pytest.mark.parametrize("seed", range(COMMANDS))
def test_a_mutated_config_is_a_clear_error_or_a_plan(checkout: Checkout, seed: int) -> None:
    written(seed, checkout.folder / "config.yaml")
    result = checkout.snakemake("-n", "--quiet", "rules", check=False)
    assert "Traceback" not in result.stdout
    if result.returncode:
        mistakes = MISTAKES.search(result.stdout)
        assert mistakes and all(line.isprintable() for line in mistakes[1].splitlines()), (
            result.stdout[-3000:]
        )
    else:
        assert "total" in result.stdout
    for study in (checkout.folder / "results").glob("*"):
        assert [path.name for path in study.iterdir()] == ["settings"], "a dry run makes nothing"

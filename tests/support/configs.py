"""Configs that are right, and what the program says of wrong ones."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from engram.io.errors import EngramError
from engram.run.config import complete

ROOT = Path(__file__).parents[2]
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


def one_line(config: Any) -> str:
    """What is wrong with a config that has one mistake."""
    text = message(config)
    assert "\n" not in text
    return text

"""Read the config: check it, and complete it with defaults.

The config's keys, types, limits and defaults are those of `engram.run.settings.StudyConfig`; what
several sections decide together is checked by `engram.run.mistakes`."""

from __future__ import annotations

import datetime
from typing import Any

from engram.io.errors import EngramError
from engram.run.mistakes import mistakes_of
from engram.run.settings import StudyConfig
from engram.sources.entry import complete_entry


def complete(config: Any) -> dict[str, Any]:
    """Return the config as plain values, with every default filled in.

    Args:
        config: what YAML holds; it is not changed.

    Raises:
        EngramError: one line per mistake: the key, the value found, what is wanted.
    """
    study = StudyConfig.parse_fields(config)
    completed = study.model_dump(mode="json")
    mistakes = [*study.mistakes(), *mistakes_of(study, completed)]
    if mistakes:
        raise EngramError("\n".join(dict.fromkeys(map(_one_line, mistakes))))
    completed["models"] = [complete_entry(model) for model in completed["models"]]
    for model in completed["models"]:
        model["seed"] = completed["seed"] if model["seed"] is None else model["seed"]
    return completed


def without_dates(value: Any) -> Any:
    """Return a copy of what YAML holds with dates as texts, so that it can be written as JSON."""
    if isinstance(value, dict):
        return {key: without_dates(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_dates(item) for item in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


def _one_line(text: str) -> str:
    return " ".join(text.split())

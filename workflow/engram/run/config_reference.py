"""Write the JSON schema of the config and its reference, docs/config.md, from the settings:
`python -m engram config-reference`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engram.io.artifacts import whole
from engram.io.mistakes import models_of
from engram.io.settings import Settings
from engram.run.project import ROOT
from engram.run.settings import StudyConfig

SCHEMA_FILE = Path("workflow/schemas/config.schema.json")
PAGE = Path("docs/config.md")
INTRODUCTION = """# Config

<!-- Written by `make docs` from the settings in workflow/engram; do not edit. -->

A study is one YAML file: `config.yaml` is the default study, `--configfile studies/paper.yaml`
chooses another. Keys that a study leaves out have the defaults below. Before anything runs, the
config is checked: an unknown key, a value of another type or a number beyond its limits is an error
that names the key, the value and what is wanted. A quoted number is text, not a number.

Editors that read the JSON schema, `workflow/schemas/config.schema.json`, complete keys and mark
mistakes; the first line of `config.yaml` names it.
"""
_TYPES = {
    "integer": "integer",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
    "object": "mapping",
}
_COUNTED = ("integer", "number", "object")
_SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def schema() -> dict[str, Any]:
    """Return the JSON schema of the config, with a description for every key."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Engram's config"}
    return head | StudyConfig.model_json_schema()


def reference() -> str:
    """Return the reference as Markdown: a section for every mapping of the config, with tables of
    its keys: type, default, limits, meaning.
    """
    places = dict(_places(StudyConfig, ""))
    definitions = schema()["$defs"]
    parts = [INTRODUCTION, *_top(schema(), places)]
    for settings, place in places.items():
        parts.append(f"{'###' if '.' in place else '##'} `{place}`\n")
        for group in _groups(settings):
            text = " ".join((group.__doc__ or "").split())
            entry = definitions[settings.__name__]
            parts.append(f"{text}\n\n{_table(_declared(group), entry, places)}\n")
    return "\n".join(parts)


def generated() -> dict[Path, str]:
    """Return what is written: file, relative to the project's root → text."""
    text = json.dumps(schema(), indent=2, ensure_ascii=False)
    return {SCHEMA_FILE: f"{text}\n", PAGE: reference()}


def _places(settings: type[Settings], place: str) -> Iterator[tuple[type[Settings], str]]:
    """Yield nested settings with their first place in the config, e.g. `models[].drilling`."""
    seen = set()
    for name, field in settings.model_fields.items():
        for nested in models_of(field.annotation):
            if issubclass(nested, Settings):
                items = "" if nested is field.annotation else "[]"
                inner = f"{place}.{name}{items}" if place else f"{name}{items}"
                for pair in ((nested, inner), *_places(nested, inner)):
                    if pair[0] not in seen:
                        seen.add(pair[0])
                        yield pair


def _top(entry: dict[str, Any], places: Mapping[type[Settings], str]) -> Iterator[str]:
    """Yield the table of keys at the top of the config, and the list of its sections."""
    sections = [name for name, value in entry["properties"].items() if "$ref" in value]
    keys = [name for name in entry["properties"] if name not in sections]
    yield f"## Top level\n\n{entry['description']}\n\n{_table(keys, entry, places)}\n"
    yield "Sections are mappings at the top level:\n"
    for name in sections:
        yield f"- [`{name}`](#{_anchor(name)}): {entry['properties'][name]['description']}"
    yield ""


def _groups(settings: type[Settings]) -> Iterator[type[Settings]]:
    """Yield the classes that declare the fields, in the fields' order."""
    for base in reversed(settings.__mro__):
        if issubclass(base, Settings) and _declared(base):
            yield base


def _declared(settings: type[Settings]) -> list[str]:
    """Return the fields that a class does not inherit."""
    own = inspect.get_annotations(settings)
    return [name for name in settings.model_fields if name in own]


def _table(keys: Sequence[str], entry: dict[str, Any], places: Mapping[type[Settings], str]) -> str:
    """Return the table of some keys of a mapping, whose JSON schema is `entry`."""
    anchors = {settings.__name__: _anchor(place) for settings, place in places.items()}
    rows = ["| key | type | default | limits | meaning |", "|---|---|---|---|---|"]
    for key in keys:
        value = entry["properties"][key]
        if key in entry.get("required", ()):
            default = "required"
        elif value["default"] in ({}, [], ""):
            default = ""
        else:
            default = f"`{_default(value['default'])}`"
        limits = ", ".join(_limits(value))
        cells = (f"`{key}`", _kind(value, anchors), default, limits, value["description"])
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows)


def _default(value: Any) -> str:
    """Return a value as YAML may write it; large numbers have an exponent."""
    if isinstance(value, float) and value >= 1e9:
        digits, exponent = f"{value:e}".split("e")
        return f"{float(digits)}e{exponent}"
    return json.dumps(value, ensure_ascii=False)


def _kind(value: dict[str, Any], anchors: Mapping[str, str], many: str = "") -> str:
    """Return the type of a value; `many` is the plural's ending."""
    if "$ref" in value:
        return f"[mapping{many}](#{anchors[value['$ref'].rsplit('/', 1)[1]]})"
    if "anyOf" in value:
        return _or([_kind(choice, anchors, many) for choice in value["anyOf"]])
    if choices := value.get("enum", [value["const"]] if "const" in value else []):
        return _or([f"`{_choice(choice)}`" if choice != "" else "empty" for choice in choices])
    if value["type"] == "array":
        return f"list{many} of {_kind(value['items'], anchors, 's')}"
    return _TYPES[value["type"]] + (many if value["type"] in _COUNTED else "")


def _choice(value: Any) -> str:
    """Return a choice as YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _or(texts: Sequence[str]) -> str:
    """Return `a, b or c`."""
    *others, last = texts
    return f"{', '.join(others)} or {last}" if others else last


def _limits(value: dict[str, Any]) -> Iterator[str]:
    """Yield what a value must be in addition to its type."""
    for choice in value.get("anyOf", ()):
        yield from _limits(choice)
    for name, sign in _SIGNS.items():
        if name in value:
            yield f"{sign} {value[name]}"
    if "pattern" in value:
        yield "lower-case letters, digits, `-`, `_` and `.`"
    yield from _count(value.get("minLength"), value.get("maxLength"), "character")
    yield from _count(value.get("minItems"), value.get("maxItems"), "item")
    if value.get("uniqueItems"):
        yield "no repeats"
    if "items" in value and (inner := ", ".join(_limits(value["items"]))):
        yield f"each {inner}"


def _count(least: int | None, most: int | None, what: str) -> Iterator[str]:
    """Yield how many items or characters are allowed."""
    bounds = [f"at least {least}"] if least else []
    bounds += [f"at most {most}"] if most else []
    if least and least == most:
        bounds = [str(least)]
    if bounds:
        yield f"{' and '.join(bounds)} {what}{'s' if (most or least) != 1 else ''}"


def _anchor(heading: str) -> str:
    """Return the anchor that Markdown gives a heading."""
    return "".join(sign for sign in heading.lower() if sign.isalnum() or sign in "-_")


def command() -> None:
    """Write both files."""
    for file, text in generated().items():
        with whole(ROOT / file) as path:
            path.write_text(text, encoding="utf-8")

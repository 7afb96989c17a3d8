"""Reads the config: checked against its schema and for sense, completed with defaults, before anything runs."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from engram.errors import EngramError
from engram.taxonomy import Taxonomy, categories_from_config

SCHEMA_FILE = Path(__file__).parents[1] / "schemas" / "config.schema.yaml"


def load_schema() -> dict[str, Any]:
    """The JSON schema of the config; every key has a description and a default unless it is required."""
    return yaml.safe_load(SCHEMA_FILE.read_text(encoding="utf-8"))


def complete(config: Any) -> dict[str, Any]:
    """Checks a config and returns it with every default filled in.

    Raises:
        EngramError: one line per mistake: the key, the value found, what is wanted.
    """
    schema = load_schema()
    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=lambda error: [str(part) for part in error.absolute_path])
    if errors:
        raise EngramError("\n".join(dict.fromkeys(map(_describe, errors))))
    completed = _with_defaults(copy.deepcopy(config), schema, schema)
    _check_sense(completed)
    return completed


def taxonomies(config: dict[str, Any]) -> dict[str, Taxonomy]:
    """The config's taxonomies by slug, in its order."""
    categories = categories_from_config(config["categories"])
    parsed: dict[str, Taxonomy] = {}
    for name in config["taxonomies"]:
        taxonomy = Taxonomy.parse(name, categories)
        if taxonomy.slug in parsed:
            raise EngramError(f"taxonomies: `{name}` and `{parsed[taxonomy.slug].name}` are one taxonomy; keep one of them")
        parsed[taxonomy.slug] = taxonomy
    return parsed


def localized(config: dict[str, Any]) -> list[str]:
    """Slugs of the taxonomies that saliency is computed for."""
    parsed = taxonomies(config)
    if not config["saliency"]["localize"]:
        return list(parsed)
    categories = categories_from_config(config["categories"])
    slugs = [Taxonomy.parse(name, categories).slug for name in config["saliency"]["localize"]]
    if unknown := [n for n, slug in zip(config["saliency"]["localize"], slugs, strict=True) if slug not in parsed]:
        raise EngramError(f"saliency.localize: `{unknown[0]}` is not among the study's taxonomies; add it to `taxonomies`")
    return slugs


def _check_sense(config: dict[str, Any]) -> None:
    """What a schema cannot say; raises EngramError with one line per mistake."""
    mistakes: list[str] = []
    for check in (_check_samples, _check_window, _check_models, taxonomies, localized):
        try:
            check(config)
        except EngramError as error:
            mistakes.append(str(error))
    if mistakes:
        raise EngramError("\n".join(dict.fromkeys(mistakes)))


def _check_samples(config: dict[str, Any]) -> None:
    samples = config["samples"]
    if samples["train"] + samples["validation"] >= 1:
        raise EngramError(
            f"samples: train {samples['train']:g} and validation {samples['validation']:g} leave nothing to test on; make them sum to less than 1"
        )
    if samples["minimum"] > samples["per_class"]:
        raise EngramError(f"samples.minimum: {samples['minimum']} is more than samples.per_class, {samples['per_class']}; lower it")


def _check_window(config: dict[str, Any]) -> None:
    tokens = config["prefix"] + config["suffix"]
    for kernel in config["cnn"]["kernels"]:
        if ((tokens - kernel + 1) // 2 - kernel + 1) // 2 < 1:
            raise EngramError(f"cnn.kernels: {kernel} is too large for windows of prefix + suffix = {tokens} tokens; take a smaller kernel")


def _check_models(config: dict[str, Any]) -> None:
    names = [model["name"] for model in config["models"]]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise EngramError(f"models: the name {repeated[0]} stands twice; give every model its own")
    if reserved := sorted({"tables", "figures"} & set(names)):
        raise EngramError(f"models: {reserved[0]} is the name of a results folder; call the model otherwise")


def _with_defaults(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """`value` with the schema's defaults filled in, recursively."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]] | {k: v for k, v in schema.items() if k != "$ref"}
    if isinstance(value, dict):
        for key, subschema in schema.get("properties", {}).items():
            if key not in value and "default" in subschema:
                value[key] = copy.deepcopy(subschema["default"])
            if key in value:
                value[key] = _with_defaults(value[key], subschema, root)
    elif isinstance(value, list) and "items" in schema:
        value = [_with_defaults(item, schema["items"], root) for item in value]
    return value


def _describe(error: ValidationError) -> str:
    """One line for one mistake: where, what was found, what is wanted."""
    where = ".".join(str(part) for part in error.absolute_path) or "config"
    found = repr(error.instance)
    found = found if len(found) <= 80 else found[:77] + "…"
    match error.validator:
        case "additionalProperties":
            known = sorted(error.schema.get("properties", {}))
            unknown = sorted(str(key) for key in set(error.instance) - set(known))
            return f"{where}: unknown key {', '.join(unknown)}; known are {', '.join(known)}"
        case "required":
            missing = [key for key in error.validator_value if key not in error.instance]
            return f"{where}: {', '.join(missing)} is missing"
        case "pattern":
            return f"{where}: {found} is not a name; use lower-case letters, digits, `-`, `_` and `.` (no path)"
        case "type":
            return f"{where}: {found} is not of type {error.validator_value}"
        case "enum":
            return f"{where}: {found} is not one of {', '.join(map(str, error.validator_value))}"
        case _:
            return f"{where}: {found} breaks {error.validator} {error.validator_value}"

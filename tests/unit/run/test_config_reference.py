"""The schema and the reference of the config are generated, complete and up to date."""

import json
import random
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from mutations import mutated_config

from engram.io.errors import EngramError
from engram.io.mistakes import models_of, plain_values
from engram.io.settings import Settings, descriptions
from engram.run import config_reference
from engram.run.config_reference import PAGE, SCHEMA_FILE, schema
from engram.run.settings import ModelEntry, StudyConfig
from engram.taxonomy.protocols import PROTOCOLS
from engram.taxonomy.transfer_settings import TransferKind

ROOT = Path(__file__).parents[3]
SCHEMA = schema()
VALIDATOR = Draft202012Validator(SCHEMA)
generated = cache(config_reference.generated)
reference = cache(config_reference.reference)
STUDIES = [ROOT / "config.yaml", *sorted((ROOT / "studies").glob("*.yaml"))]


def classes(settings: type[Settings] = StudyConfig) -> Iterator[type[Settings]]:
    """The settings' class and those of its nested mappings."""
    yield settings
    for field in settings.model_fields.values():
        for nested in models_of(field.annotation):
            assert issubclass(nested, Settings)
            yield from classes(nested)


CLASSES = list(dict.fromkeys(classes()))


@pytest.mark.parametrize("file", [SCHEMA_FILE, PAGE], ids=str)
def test_what_is_generated_is_current(file: Path) -> None:
    assert (ROOT / file).read_text(encoding="utf-8") == generated()[file], "run `make docs`"


def test_the_command_writes_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_reference, "ROOT", tmp_path)
    monkeypatch.setattr(config_reference, "generated", generated)
    config_reference.command()
    for file, text in generated().items():
        assert (tmp_path / file).read_text(encoding="utf-8") == text


# --- the settings
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", CLASSES)
def test_every_field_and_every_class_is_described(settings: type[Settings]) -> None:
    texts = descriptions(settings)
    assert {
        name for name in settings.model_fields if not texts.get(name, "").endswith(".")
    } == set()
    assert settings.__doc__ != Settings.__doc__


@pytest.mark.parametrize("settings", CLASSES)
def test_every_default_is_valid(settings: type[Settings]) -> None:
    for name, field in settings.model_fields.items():
        if not field.is_required():
            entry = SCHEMA if settings is StudyConfig else SCHEMA["$defs"][settings.__name__]
            value = entry["properties"][name]["default"]
            checked = Draft202012Validator(
                {
                    "$ref": f"#/$defs/own/properties/{name}",
                    "$defs": SCHEMA["$defs"] | {"own": entry},
                }
            )
            assert list(checked.iter_errors(value)) == [], name


@pytest.mark.parametrize(
    "settings", [item for item in CLASSES if item not in (StudyConfig, ModelEntry)]
)
def test_the_defaults_written_out_are_the_defaults(settings: type[Settings]) -> None:
    given = required(settings)
    plain = settings(**given).model_dump(mode="json")
    again = settings.parse(plain)
    assert again == settings(**given)
    assert json.dumps(again.model_dump(mode="json")) == json.dumps(plain)


def test_the_protocols_are_those_of_the_taxonomies() -> None:
    assert SCHEMA["properties"]["protocols"]["items"]["enum"] == list(PROTOCOLS)


# --- the schema
# --------------------------------------------------------------------------------------------------


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object schema in a schema."""
    if isinstance(value, dict):
        if "properties" in value:
            yield value
        for key, inner in value.items():
            if key != "default":
                yield from objects(inner)


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_every_key_has_a_default_unless_it_is_required() -> None:
    for entry in objects(SCHEMA):
        required = set(entry.get("required", ()))
        assert {k for k, value in entry["properties"].items() if "default" not in value} == required


def test_no_unknown_key_is_let_through() -> None:
    assert all(entry["additionalProperties"] is False for entry in objects(SCHEMA))


def accepted(config: Any) -> bool:
    try:
        StudyConfig.parse_fields(config)
    except EngramError:
        return False
    return True


def test_the_schema_accepts_the_studies() -> None:
    for file in STUDIES:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert list(VALIDATOR.iter_errors(config)) == [], file
    assert VALIDATOR.is_valid(config | {"taxonomies": "paper"})


@pytest.mark.parametrize("block", range(2))
def test_schema_and_settings_accept_the_same_configs(block: int) -> None:
    r = random.Random(block)
    full = StudyConfig.parse_fields(
        yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    ).model_dump(mode="json")
    outcomes = set()
    for _ in range(150):
        config = mutated_config(r, full)
        try:
            plain = json.loads(json.dumps(plain_values(config)))
        except (EngramError, TypeError):
            continue  # what no JSON holds
        outcomes.add(accepts := accepted(config))
        assert VALIDATOR.is_valid(plain) is accepts, config
    assert outcomes == {True, False}


def bounds(value: dict[str, Any]) -> Iterator[tuple[float, float]]:
    """For each limit of a number, the last value within and the first one beyond."""
    step = 1 if value.get("type") == "integer" else 1e-9
    for name, sign in (("minimum", -1), ("maximum", 1)):
        if name in value:
            limit = value[name]
            yield limit, limit + sign * step * max(1, abs(limit) if step < 1 else 1)
        if (name := f"exclusive{name.capitalize()}") in value:
            yield value[name] - sign * step, value[name]


REQUIRED: dict[str, Any] = {
    "share": 0.5,
    "study": "x",
    "models": [{"name": "x", "source": "nursery"}],
    "taxonomies": ["Non-Memo, Guess, Others"],
    "source": "nursery",
    "exposures": 1,
    "name": "x",
    "where": "is_code",
    "layer": 1,
    "version": "1.0",
    "released": "2026-03-01",
    "taxonomy": "Non-Memo, Guess, Others",
    "first": "Guess",
    "second": "Others",
    "column": "is_code",
    "train": [True],
    "test": [False],
}
PREDICATES = {"train": "is_code", "test": "not is_code"}
"""What `transfer.kinds` needs instead of lists of values."""


def required(settings: type[Settings]) -> dict[str, Any]:
    """Values for the keys that a section must have."""
    values = REQUIRED | (PREDICATES if settings is TransferKind else {})
    return {key: values[key] for key, f in settings.model_fields.items() if f.is_required()}


def test_settings_have_the_limits_that_the_schema_and_the_reference_name() -> None:
    tried = 0
    for settings in CLASSES:
        entry = SCHEMA if settings is StudyConfig else SCHEMA["$defs"][settings.__name__]
        given = required(settings)
        for name, value in entry["properties"].items():
            for within, beyond in bounds(value):
                settings.parse_fields(given | {name: within})
                with pytest.raises(EngramError, match=rf"^{name}: "):
                    settings.parse_fields(given | {name: beyond})
                tried += 1
    assert tried > 60


# --- the reference
# --------------------------------------------------------------------------------------------------


def tables() -> list[list[str]]:
    """Rows of every table of the reference."""
    return [
        part.splitlines()[2:]
        for part in re.findall(r"(?:^\|.*\n)+", reference(), flags=re.MULTILINE)
    ]


def test_no_table_is_long_and_every_row_is_whole() -> None:
    assert all(0 < len(rows) <= 12 for rows in tables())
    assert {len(re.findall(r"(?<!\\)\|", row)) for rows in tables() for row in rows} == {6}


def test_every_key_has_a_row_or_is_a_section() -> None:
    rows = re.findall(r"^\| `(\w+)`", reference(), flags=re.MULTILINE)
    listed = re.findall(r"^- \[`(\w+)`\]", reference(), flags=re.MULTILINE)
    keys = [name for settings in CLASSES for name in settings.model_fields]
    assert sorted([*rows, *listed]) == sorted(keys)


def test_every_link_leads_somewhere() -> None:
    text = reference()
    headings = re.findall(r"^#+ `?(.*?)`?$", text, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in headings}
    for target in re.findall(r"\]\(([^)]*)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        else:
            assert (ROOT / PAGE.parent / target).exists(), target


def test_a_row_gives_type_default_limits_and_meaning() -> None:
    row = "| `train` | number | `0.6` | > 0, < 1 | Share of the samples that train the CNNs, under"
    assert any(line.startswith(row) for line in reference().splitlines())
    large = "| `forward` | number | `3.0e+14` | > 0 |"
    assert any(line.startswith(large) for line in reference().splitlines())

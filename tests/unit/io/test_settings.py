"""Settings: strict types, lists as tuples, one line per mistake, descriptions from docstrings."""

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from engram.io.errors import EngramError
from engram.io.mistakes import plain_values
from engram.io.settings import Items, Seed, Settings, Share, Slug, descriptions, section

PACKAGE = Path(__file__).parents[3] / "workflow" / "engram"


class Inner(Settings):
    """An inner mapping."""

    rate: float = Field(default=0.5, gt=0, lt=1)
    """A rate that is described
    on two lines."""
    rounds: int = 3
    """A count."""

    def mistakes(self) -> Iterator[str]:
        if self.rounds == 13:
            yield "rounds: 13 is unlucky"


class Outer(Settings):
    """The settings of these tests."""

    name: Slug = "x"
    """A name."""
    seed: Seed = 0
    """A seed."""
    on: bool = True
    """A switch."""
    kind: Literal["one", "two"] = "one"
    """A choice."""
    sizes: Annotated[tuple[Share, ...], Items(1)] = (0.5,)
    """Distinct shares."""
    pair: Annotated[tuple[int, ...], Items(2, 2, unique=False)] = (0, 0)
    """Two numbers."""
    labels: dict[str, str] = Field(default={})
    """A mapping."""
    inner: Inner = section()
    """A section."""
    steps: Annotated[tuple[Inner, ...], Items(unique=False)] = ()
    """A list of mappings."""


class Derived(Inner):
    """Inherits its fields."""

    rounds: int = 4
    """Another count."""


def message(values: Any, where: str = "") -> str:
    with pytest.raises(EngramError) as caught:
        Outer.parse(values, where)
    return str(caught.value)


# --- values
# --------------------------------------------------------------------------------------------------


def test_nothing_given_means_the_defaults() -> None:
    assert Outer.parse({}) == Outer()
    assert Outer().inner == Inner()


def test_lists_become_tuples_and_leave_as_lists() -> None:
    settings = Outer(sizes=[0.1, 1], steps=[{"rounds": 2}])
    assert settings.sizes == (0.1, 1.0) and settings.steps == (Inner(rounds=2),)
    assert settings.model_dump(mode="json")["sizes"] == [0.1, 1.0]


def test_whole_floats_are_integers_and_integers_are_floats() -> None:
    settings = Outer.parse({"seed": 400.0, "inner": {"rounds": 2.0}, "sizes": [1]})
    assert [type(value) for value in (settings.seed, settings.inner.rounds)] == [int, int]
    assert type(settings.sizes[0]) is float


@pytest.mark.parametrize(
    "values",
    [
        {"seed": "1"},
        {"seed": True},
        {"seed": 1.5},
        {"sizes": ["0.5"]},
        {"sizes": [True]},
        {"sizes": {0.5}},
        {"sizes": "0.5"},
        {"on": 1},
        {"on": "yes"},
        {"name": 1},
        {"kind": 1},
        {"labels": {"a": 1}},
        {"labels": [("a", "b")]},
        {"inner": None},
        {"inner": []},
        {"unknown": 1},
    ],
    ids=str,
)
def test_values_are_not_converted(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Outer(**values)
    with pytest.raises(EngramError):
        Outer.parse(values)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Outer().seed = 1  # type: ignore[misc]


def test_a_replaced_value_is_checked() -> None:
    assert Outer(seed=1).replace(on=False) == Outer(seed=1, on=False)
    with pytest.raises(ValidationError):
        Outer().replace(seed=-1)


def test_defaults_are_not_shared() -> None:
    Outer().labels["a"] = "b"
    assert Outer().labels == {}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text("ab \n") | st.floats(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_plain_values_change_nothing_but_whole_floats(value: Any) -> None:
    def finite(part: Any) -> bool:
        if isinstance(part, dict | list):
            return all(map(finite, part.values() if isinstance(part, dict) else part))
        return not isinstance(part, float) or (math.isfinite(part) and abs(part) < 2**63)

    if finite(value):
        assert plain_values(value) == value
    else:
        with pytest.raises(EngramError):
            plain_values(value)


# --- mistakes
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"seed": "1"}, "seed: '1' is not an integer; remove the quotes"),
        ({"seed": "one"}, "seed: 'one' is not an integer"),
        ({"inner": {"rate": "1e-3"}}, "inner.rate: '1e-3' is not a number; YAML wants a point and"
         " a sign, 1.0e-3"),
        ({"inner": {"rate": ".5"}}, "inner.rate: '.5' is not a number"),
        ({"inner": {"rate": 1}}, "inner.rate: 1 is not less than 1"),
        ({"name": None}, "name: null is not text"),
        ({"name": False}, "name: false is not text; put it in quotes"),
        ({"on": "no"}, "on: 'no' is not true or false"),
        ({"kind": "onee"}, "kind: 'onee' is not 'one' or 'two' (did you mean one?)"),
        ({"sizes": []}, "sizes: [] has too few items; the minimum is 1"),
        ({"sizes": [2]}, "sizes.0: 2 is greater than the maximum, 1"),
        ({"sizes": [1, 0.5, 1.0]}, "sizes: 1.0 appears twice in [1, 0.5, 1]"),
        ({"pair": [1]}, "pair: [1] has too few items; the minimum is 2"),
        ({"pair": [1, 2, 3]}, "pair: [1, 2, 3] has too many items; the maximum is 2"),
        ({"labels": {"a": 1}}, "labels.a: 1 is not text; put it in quotes"),
        ({"inner": {"rat": 1}}, "inner: unknown key rat (did you mean rate?); known are rate,"
         " rounds"),
        ({"steps": [{}, {"x": 1, "y": 2}]}, "steps.1: unknown keys x, y; known are rate, rounds"),
        ({"steps": [{}, {"rounds": 13}]}, "rounds: 13 is unlucky"),
        ({"labels": {"a\x85b": 1}}, "labels.a b: 1 is not text; put it in quotes"),
        ({"labels": {"a": "\x07"}}, "labels.a: the text '\\x07' contains the control character"
         " '\\x07'; remove it"),
        ([], "config: [] is not a mapping of keys to values"),
    ],
    ids=str,
)  # fmt: skip
def test_a_mistake_is_a_line_with_key_value_and_what_is_wanted(values: Any, line: str) -> None:
    assert message(values) == line


def test_every_mistake_has_its_line_in_the_order_of_keys() -> None:
    values = {"seed": -1, "name": "A b", "x": 1, "inner": {"rate": 0, "rounds": None}}
    assert [line.split(":")[0] for line in message(values).splitlines()] == [
        "config",
        "inner.rate",
        "inner.rounds",
        "name",
        "seed",
    ]


def test_all_values_that_mean_nothing_are_named() -> None:
    values = {"seed": math.nan, "name": "\0", 3: 1, "inner": {"rounds": 2**70}}
    assert [line.split(":")[0] for line in message(values).splitlines()] == [
        "config",
        "seed",
        "name",
        "inner.rounds",
    ]


def test_the_key_of_a_section_goes_before_its_keys() -> None:
    assert message({"seed": -1}, "top") == "top.seed: -1 is less than the minimum, 0"
    assert message(3, "top") == "top: 3 is not a mapping of keys to values"


def test_a_long_value_is_shortened() -> None:
    line = message({"seed": "x" * 10_000})
    assert len(line) < 120 and "…" in line


# --- descriptions
# --------------------------------------------------------------------------------------------------


def test_descriptions_are_the_docstrings_on_one_line() -> None:
    assert descriptions(Inner) == {
        "rate": "A rate that is described on two lines.",
        "rounds": "A count.",
    }


def test_descriptions_are_inherited_and_overridden() -> None:
    assert descriptions(Derived) == descriptions(Inner) | {"rounds": "Another count."}


def test_a_field_without_a_docstring_makes_no_schema() -> None:
    class Silent(Settings):
        """Says nothing."""

        seed: int = 0

    with pytest.raises(TypeError, match=r"Silent\.seed has no docstring"):
        Silent.model_json_schema()


def test_the_schema_has_what_the_classes_say() -> None:
    schema = Outer.model_json_schema()
    assert schema["properties"]["sizes"] == {
        "type": "array",
        "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "minItems": 1,
        "uniqueItems": True,
        "default": [0.5],
        "description": "Distinct shares.",
    }
    assert schema["properties"]["inner"] == {
        "$ref": "#/$defs/Inner",
        "default": {},
        "description": "A section.",
    }
    assert schema["additionalProperties"] is False


# --- cost
# --------------------------------------------------------------------------------------------------


def test_settings_import_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "pandas", "numpy", "matplotlib", "h5py", "numba", "pyarrow")
    modules = sorted(file.parent.name for file in PACKAGE.glob("*/settings.py"))
    assert len(modules) > 10
    code = f"""
import importlib, sys
for module in {modules}:
    importlib.import_module(f"engram.{{module}}.settings")
    loaded = [name for name in {heavy} if name in sys.modules]
    assert not loaded, f"engram.{{module}}.settings imports {{loaded}}"
"""
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1]

"""Predicates: the values of Python's own expressions row by row, and nothing but predicates."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.io.errors import EngramError
from engram.taxonomy.expressions import evaluate, names_of

ROWS = 40
RANDOM = np.random.default_rng(0)
COLUMNS: dict[str, Any] = {
    "n": RANDOM.integers(-3, 4, ROWS),
    "m": RANDOM.integers(1, 4, ROWS),
    "x": RANDOM.choice([0.0, 0.25, 0.5, 1.0], ROWS),
    "yes": RANDOM.random(ROWS) < 0.5,
    "no": RANDOM.random(ROWS) < 0.5,
    "limit": 0.5,
}


def rowwise(expression: str) -> list[bool]:
    """Python's own value of the expression for each row."""
    rows = [
        {
            name: value if np.ndim(value) == 0 else value[row].item()
            for name, value in COLUMNS.items()
        }
        for row in range(ROWS)
    ]
    return [bool(eval(expression, {"__builtins__": {}}, row)) for row in rows]


numbers = st.sampled_from(["n", "m", "x", "limit", "2", "0.5", "-1"])
arithmetic = st.recursive(
    numbers,
    lambda parts: st.one_of(
        st.tuples(parts, st.sampled_from("+-*"), parts).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        parts.map(lambda part: f"({part} / m)"),
        parts.map(lambda part: f"(-{part})"),
    ),
    max_leaves=4,
)
sign = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
comparison = st.one_of(
    st.tuples(arithmetic, sign, arithmetic).map(" ".join),
    st.tuples(arithmetic, sign, arithmetic, sign, arithmetic).map(" ".join),
)
predicates = st.recursive(
    st.one_of(comparison, st.sampled_from(["yes", "no"])),
    lambda parts: st.one_of(
        st.tuples(parts, st.sampled_from(["and", "or"]), parts).map(
            lambda p: f"({p[0]} {p[1]} {p[2]})"
        ),
        st.lists(parts, min_size=3, max_size=3).map(" or ".join).map("({})".format),
        parts.map("(not {})".format),
    ),
    max_leaves=6,
)


@given(predicates)
def test_truth_is_that_of_python_row_by_row(expression: str) -> None:
    assert evaluate(expression, COLUMNS).tolist() == rowwise(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "n > 0",
        "0 < n <= 2",
        "n > 0 and yes or no",
        "not yes and no",
        "not n > 0",
        "n == 1 != no",
        " n > 0 ",
        "n > 0  # positive",
        "(n > 0\n or yes)",
    ],
)
def test_precedence_is_that_of_python(expression: str) -> None:
    assert evaluate(expression, COLUMNS).tolist() == rowwise(expression.strip())


@pytest.mark.parametrize(
    ("expression", "truth"), [("1 < 2", True), ("limit > 1", False), ("True", True)]
)
def test_a_predicate_without_columns_holds_for_all_rows_or_none(
    expression: str, truth: bool
) -> None:
    assert evaluate(expression, COLUMNS).tolist() == [truth] * ROWS


def test_division_by_zero_is_numpys() -> None:
    values = {"n": np.array([-1, 0, 1])}
    assert evaluate("1 / n > 0", values).tolist() == [False, True, True]
    assert evaluate("n / 0 > 5", values).tolist() == [False, False, True]
    assert evaluate("n / 0 <= 5 or n / 0 > 5", values).tolist() == [True, False, True]


def test_missing_values_compare_with_nothing() -> None:
    values = {"x": np.array([np.nan, 1.0])}
    assert evaluate("x < 2", values).tolist() == [False, True]
    assert evaluate("x >= 2", values).tolist() == [False, False]


def test_no_rows_have_no_truth() -> None:
    assert evaluate("n > 0", {"n": np.empty(0)}).shape == (0,)


def test_names_are_columns_and_parameters() -> None:
    assert names_of("a > b + 1 and not (c or 0.5 < d < True)") == {"a", "b", "c", "d"}


REFUSED = {
    "empty": "",
    "blank": "  ",
    "open": "n >",
    "call": "open(n)",
    "attribute": "n.real > 0",
    "index": "n[0] > 0",
    "text": "n == 'a'",
    "formatted": "f'{n}'",
    "complex": "n == 1j",
    "none": "n == None",
    "ellipsis": "...",
    "lambda": "lambda: n",
    "conditional": "n if yes else m",
    "comprehension": "[n for n in m]",
    "walrus": "(n := 1)",
    "membership": "n in m",
    "identity": "n is m",
    "power": "n ** 99 > 1",
    "modulo": "n % 2 == 0",
    "bits": "n & m",
    "inverse": "~n",
    "plus": "+n > 0",
    "tuple": "n, m",
    "star": "*n",
    "await": "await n",
    "two": "n > 0; m > 0",
    "lines": "n > 0\nm > 0",
    "assignment": "n = 0",
    "import": "__import__('os')",
    "glued": "n > 0and yes",
    "NUL": "n\0 > 0",
    "surrogate": "n > \ud800",
    "nested": "(" * 5000 + "n" + ")" * 5000,
}


@pytest.mark.parametrize("expression", REFUSED.values(), ids=REFUSED.keys())
def test_anything_else_is_refused_with_the_text(expression: str) -> None:
    with pytest.raises(EngramError, match=r"not an expression|is not understood") as caught:
        names_of(expression)
    assert str(caught.value).startswith(f"predicate `{expression}`: ")


def test_a_long_predicate_is_evaluated() -> None:
    assert evaluate("n > 0" + " or n > 0" * 300, COLUMNS).tolist() == rowwise("n > 0")


def test_a_missing_name_is_named_with_those_there_are() -> None:
    with pytest.raises(
        EngramError,
        match=re.escape("predicate `a > n`: no column a; there are limit, m, n, no, x, yes"),
    ):
        evaluate("a > n", COLUMNS)


@pytest.mark.parametrize(
    "expression",
    [
        "text > 5",
        "-yes > 0",
        "yes - no",
        "1 / 0 > n",
        "x > 1" + "0" * 400,
        "n + 1" + "0" * 40 + " > 0",
    ],
    ids=[
        "text",
        "negative truth",
        "difference of truths",
        "zero",
        "huge and real",
        "huge and whole",
    ],
)
def test_what_cannot_be_computed_is_an_error_of_one_line(expression: str) -> None:
    values = COLUMNS | {"text": np.array(["a"] * ROWS, dtype=object)}
    with pytest.raises(EngramError, match="cannot be computed on these columns") as caught:
        evaluate(expression, values)
    assert "\n" not in str(caught.value)

"""Predicates over label columns, as a user writes them in the config: `sequence_duplicates > 5 and
not is_code`.

Only names, numbers, comparisons, `and`, `or`, `not` and the four arithmetic signs are understood:
an expression reads columns and can do nothing else.
"""

from __future__ import annotations

import ast
import functools
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engram.io.errors import EngramError

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def names_of(expression: str) -> set[str]:
    """Return the columns and parameters that a predicate reads.

    Raises:
        EngramError: the text is not a predicate of the understood form.
    """
    tree = _parse(expression)
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def evaluate(expression: str, values: Mapping[str, Any]) -> np.ndarray:
    """Return the predicate's truth per row.

    Args:
        expression: as described above.
        values: arrays (n,) or numbers by name.

    Returns:
        bool array (n,), read-only. A division by zero gives infinity or NaN, as in numpy.

    Raises:
        EngramError: unknown form, a name that `values` lacks, or values that cannot be computed
            with (text, huge numbers).
    """
    tree = _parse(expression)
    if unknown := sorted(names_of(expression) - set(values)):
        raise EngramError(
            f"predicate `{expression}`: no column {', '.join(unknown)}; there are "
            f"{', '.join(sorted(values))}"
        )
    shape = np.broadcast_shapes(*(np.shape(value) for value in values.values()))
    try:
        with np.errstate(all="ignore"):
            truth = np.asarray(_evaluate(tree.body, values), dtype=bool)
    except (TypeError, ArithmeticError) as error:
        raise EngramError(
            f"predicate `{expression}`: cannot be computed on these columns ({error})"
        ) from None
    return np.broadcast_to(truth, shape)


def _parse(expression: str) -> ast.Expression:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # `5and x` is read by Python, with a warning
            tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise EngramError(
            f"predicate `{expression}`: not an expression; write e.g. `sequence_duplicates > 5`"
        ) from None
    for node in ast.walk(tree.body):
        understood = (
            isinstance(
                node,
                ast.Name
                | ast.Load
                | ast.BoolOp
                | ast.And
                | ast.Or
                | ast.Not
                | ast.USub
                | ast.Compare
                | ast.BinOp,
            )
            or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub))
            or (isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float))
            or type(node) in _COMPARISONS
            or type(node) in _ARITHMETIC
        )
        if not understood:
            raise EngramError(
                f"predicate `{expression}`: `{type(node).__name__}` is not understood; "
                "use column names, numbers, comparisons, and, or, not, + - * /"
            )
    return tree


def _evaluate(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Name(id=name):
            return values[name]
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ~np.asarray(_evaluate(operand, values), dtype=bool)
        case ast.UnaryOp(operand=operand):
            return -_evaluate(operand, values)
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](_evaluate(left, values), _evaluate(right, values))
        case ast.BoolOp(op=operator_, values=parts):
            combine = np.logical_and if isinstance(operator_, ast.And) else np.logical_or
            return functools.reduce(
                combine, [np.asarray(_evaluate(part, values), dtype=bool) for part in parts]
            )
        case ast.Compare(left=left, ops=signs, comparators=comparators):
            terms = [_evaluate(term, values) for term in (left, *comparators)]
            holds = [
                _COMPARISONS[type(sign)](a, b)
                for sign, a, b in zip(signs, terms[:-1], terms[1:], strict=True)
            ]
            return functools.reduce(np.logical_and, holds)
    raise AssertionError(node)

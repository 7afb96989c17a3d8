"""Which taxonomies divide every sample alike, so that their CNNs need training only once.

Classes are compared as Boolean functions of what their predicates ask of a sample:
`sequence_duplicates > 5`, `is_code`, …, and whether it is memorized. Two taxonomies are equal when
their truth tables are, up to the names of the classes: `Recite[5], Others` and `Recollect[5],
Others` are one partition. Equality found this way holds for all data; that two questions depend on
one another (`> 50` implies `> 5`) is not used, so an equality that needs it is missed, at the price
of training twice.
"""

from __future__ import annotations

import ast
import functools
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from engram.taxonomy.taxonomy import NON_MEMO, Taxonomy, Term

_MEMORIZED = "memorized"
_MOST_QUESTIONS = 14
_NEGATED: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
    ast.LtE: ast.Gt,
    ast.Lt: ast.GtE,
    ast.NotEq: ast.Eq,
}
_MIRRORED: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.Gt: ast.Lt,
    ast.LtE: ast.GtE,
    ast.GtE: ast.LtE,
}
_NO_CLASS = -1


@dataclass(frozen=True)
class Named:
    """A taxonomy by one of its names, and the taxonomy of the same partition that is trained for
    it.
    """

    taxonomy: Taxonomy
    trained: Taxonomy
    classes: Mapping[str, str]
    """Class of the trained taxonomy → the same class here."""

    @property
    def is_alias(self) -> bool:
        """Whether another name is trained for it."""
        return self.taxonomy.name != self.trained.name


@dataclass(frozen=True)
class Partition:
    """What a taxonomy divides samples by, without the names of its classes."""

    questions: tuple[str, ...]
    """What the division really depends on, sorted."""
    pattern: tuple[int, ...]
    """Part of every combination of answers, numbered as they first appear; -1 for no class."""


def merge_equal(taxonomies: Iterable[Taxonomy]) -> list[Named]:
    """Return every taxonomy with the one trained for it: the first of the same partition."""
    first: dict[Partition, tuple[Taxonomy, tuple[int, ...]]] = {}
    named = []
    for taxonomy in taxonomies:
        found, order = partition(taxonomy)
        trained, trained_order = first.setdefault(found, (taxonomy, order))
        classes = {
            trained.class_names[a]: taxonomy.class_names[b]
            for a, b in zip(trained_order, order, strict=True)
        }
        named.append(Named(taxonomy, trained, classes))
    return named


@functools.cache  # the config asks for the same taxonomies many times while it is read
def partition(taxonomy: Taxonomy) -> tuple[Partition, tuple[int, ...]]:
    """Return the partition, and the position of the class that each of its parts is; an empty class
    is no part but stands at the end.
    """
    questions: dict[str, int] = {_MEMORIZED: 0}
    for terms in taxonomy.classes:
        for term in terms:
            _ask(_tree(term), term, questions)
    if len(questions) > _MOST_QUESTIONS:
        return Partition((taxonomy.name,), ()), tuple(range(len(taxonomy.classes)))
    shape = (2,) * len(questions)
    answers = {
        name: np.indices(shape, sparse=True)[axis].astype(bool) for name, axis in questions.items()
    }
    classes = np.full(shape, _NO_CLASS)
    for position, terms in reversed(list(enumerate(taxonomy.classes))):
        holds = (
            np.logical_or.reduce(np.broadcast_arrays(*(_holds(term, answers) for term in terms)))
            if terms
            else answers[_MEMORIZED]
        )
        classes[np.broadcast_to(holds, shape)] = position
    names = list(questions)
    for axis in reversed(range(len(names))):
        if (classes.take(0, axis) == classes.take(1, axis)).all():
            classes, names = classes.take(0, axis), names[:axis] + names[axis + 1 :]
    order = sorted(range(len(names)), key=names.__getitem__)
    flat = classes.transpose(order).ravel().tolist()
    parts = list(dict.fromkeys(position for position in flat if position != _NO_CLASS))
    number = {position: index for index, position in enumerate(parts)} | {_NO_CLASS: _NO_CLASS}
    empty = [position for position in range(len(taxonomy.classes)) if position not in number]
    key = Partition(
        (*(names[axis] for axis in order), f"{len(empty)} empty"),
        tuple(number[position] for position in flat),
    )
    return key, (*parts, *empty)


def _holds(term: Term, answers: Mapping[str, np.ndarray]) -> np.ndarray:
    truth = _truth(_tree(term), term, answers)
    return truth if term.category.name == NON_MEMO else truth & answers[_MEMORIZED]


def _tree(term: Term) -> ast.expr:
    return ast.parse(term.category.where.strip(), mode="eval").body


def _ask(node: ast.expr, term: Term, questions: dict[str, int]) -> None:
    """Add the questions of a predicate to `questions`."""
    match node:
        case ast.BoolOp(values=values):
            for value in values:
                _ask(value, term, questions)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _ask(operand, term, questions)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for a, op, b in zip([left, *comparators], ops, comparators, strict=False):
                question = _question(a, op, b, term)[0]
                if question is not None:
                    questions.setdefault(question, len(questions))
        case _:
            questions.setdefault(_text(node, term), len(questions))


def _truth(node: ast.expr, term: Term, answers: Mapping[str, np.ndarray]) -> np.ndarray:
    match node:
        case ast.BoolOp(op=junction, values=values):
            truths = np.broadcast_arrays(*(_truth(value, term, answers) for value in values))
            return (
                np.logical_and.reduce(truths)
                if isinstance(junction, ast.And)
                else np.logical_or.reduce(truths)
            )
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ~_truth(operand, term, answers)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            truth = np.array(True)
            for a, op, b in zip([left, *comparators], ops, comparators, strict=False):
                question, positive = _question(a, op, b, term)
                truth = truth & (
                    np.array(positive) if question is None else answers[question] == positive
                )
            return truth
        case _:
            return answers[_text(node, term)]


def _question(
    left: ast.expr, op: ast.cmpop, right: ast.expr, term: Term
) -> tuple[str | None, bool]:
    """Return a comparison as a question and the answer that makes it true; no question where the
    answer is known.
    """
    a, b, sign = _text(left, term), _text(right, term), type(op)
    if _is_number(a) and not _is_number(b):
        a, b, sign = b, a, _MIRRORED.get(sign, sign)
    positive = sign not in _NEGATED
    sign = _NEGATED.get(sign, sign)
    if b == "inf":  # what is never reached
        return None, not positive
    if a == "memorization_score" and b == "1.0":  # a score lies in [0, 1]
        return (_MEMORIZED, positive) if sign in (ast.GtE, ast.Eq) else (None, not positive)
    return f"{a} {sign.__name__} {b}", positive


def _text(node: ast.expr, term: Term) -> str:
    """Return an expression with the term's numbers put in; equal texts are equal questions."""
    numbers = dict(zip(term.category.parameters, term.arguments, strict=True))
    if isinstance(node, ast.Name):
        return repr(float(numbers[node.id])) if node.id in numbers else node.id
    if isinstance(node, ast.Constant):
        return repr(float(node.value))  # type: ignore[arg-type]
    values = itertools.chain.from_iterable((name, repr(numbers[name])) for name in sorted(numbers))
    return f"{ast.unparse(node)} ({' '.join(values)})"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

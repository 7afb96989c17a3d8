"""Taxonomies of memorization: ordered lists of classes over primary categories (paper, sections 3
and 4).

A taxonomy is written as the paper writes it: `Non-Memo, Recite[5]-or-Guess, Others`. A sample goes
to the first class whose predicate holds; `Others` takes the rest. Every category but Non-Memo holds
for memorized samples only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd

from engram.io.errors import EngramError
from engram.taxonomy.expressions import evaluate, names_of

NON_MEMO = "Non-Memo"
OTHERS = "Others"
DECIMALS = 9
"""Decimals of a number in the name of a taxonomy."""
_NAME = re.compile(r"[A-Z][A-Za-z0-9]*(-[A-Z][A-Za-z0-9]*)*")
_TERM = re.compile(rf"(?P<name>{_NAME.pattern})(\[(?P<arguments>[^\[\]]*)\])?")


@dataclass(frozen=True)
class Category:
    """A primary category: a predicate over label columns, with named numeric parameters.

    Attributes:
        name: as it stands in a taxonomy, e.g. `Recite`.
        where: the predicate; see `engram.taxonomy.expressions`.
        parameters: names that `where` uses for the numbers in brackets, in order.
        defaults: their values where the taxonomy gives none; empty if they must be given.
    """

    name: str
    where: str
    parameters: tuple[str, ...] = ()
    defaults: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name == OTHERS:
            raise EngramError(
                f"category `{self.name}`: a name is capitalised words joined by `-`, and not "
                f"{OTHERS}"
            )
        if self.defaults and len(self.defaults) != len(self.parameters):
            raise EngramError(
                f"category {self.name}: {len(self.parameters)} parameters but {len(self.defaults)} "
                f"defaults"
            )
        if len(set(self.parameters)) != len(self.parameters):
            raise EngramError(
                f"category {self.name}: a parameter stands twice in {', '.join(self.parameters)}"
            )
        if unused := sorted(set(self.parameters) - names_of(self.where)):
            raise EngramError(
                f"category {self.name}: parameter {', '.join(unused)} does not occur in "
                f"`{self.where}`"
            )


PAPER_CATEGORIES = (
    Category(NON_MEMO, "memorization_score < 1"),
    Category("Recite", "sequence_duplicates > delta", ("delta",)),
    Category("Recollect", "sequence_duplicates <= delta", ("delta",)),
    Category("Reconstruct", "is_repeating or is_incrementing"),
    Category(
        "Guess",
        "is_repeating or is_incrementing or rouge_l >= rho_l or rouge_3 >= rho_3",
        ("rho_l", "rho_3"),
        (0.5, 0.5),
    ),
    Category("Code", "is_code"),
)
"""The primary categories of the paper (section 3): δ is a number of duplicates, ρ_L and ρ_3 are
ROUGE F-measures.
"""


@dataclass(frozen=True)
class Term:
    """A category with its numbers; `*` (never reached) is held as infinity."""

    category: Category
    arguments: tuple[float, ...]

    @property
    def name(self) -> str:
        if not self.arguments or self.arguments == self.category.defaults:
            return self.category.name
        return f"{self.category.name}[{'-'.join(map(format_number, self.arguments))}]"

    @property
    def slug(self) -> str:
        numbers = [_slug_number(format_number(argument)) for argument in self.arguments]
        return "-".join(
            [self.category.name.lower(), *(numbers if self.name != self.category.name else [])]
        )

    def holds(self, labels: pd.DataFrame) -> np.ndarray:
        """Return (n,) bool: the category's predicate and, for all but Non-Memo, that the sample is
        memorized.
        """
        columns = {"memorization_score"} | names_of(self.category.where) - set(
            self.category.parameters
        )
        values = {name: labels[name].to_numpy() for name in columns}
        truth = evaluate(
            self.category.where,
            values | dict(zip(self.category.parameters, self.arguments, strict=True)),
        )
        return (
            truth if self.category.name == NON_MEMO else truth & (values["memorization_score"] == 1)
        )


@dataclass(frozen=True)
class Taxonomy:
    """An ordered list of classes, each a union of terms; an empty union is `Others`."""

    classes: tuple[tuple[Term, ...], ...]

    @classmethod
    def parse(cls, name: str, categories: Iterable[Category] = PAPER_CATEGORIES) -> Taxonomy:
        """Read a taxonomy from its name.

        Raises:
            EngramError: names the taxonomy, the part that is wrong, and what would be right.
        """
        known = {category.name: category for category in categories}
        classes: list[tuple[Term, ...]] = []
        parts = [part.strip() for part in name.split(",")]
        for position, part in enumerate(parts):
            if part == OTHERS:
                if position != len(parts) - 1:
                    raise EngramError(
                        f"taxonomy `{name}`: {OTHERS} takes the rest and must be the last class"
                    )
                classes.append(())
            else:
                classes.append(
                    tuple(_parse_term(term, name, known) for term in re.split(r"-or-", part))
                )
        taxonomy = cls(tuple(classes))
        if len(classes) < 2:
            raise EngramError(
                f"taxonomy `{name}`: at least two classes are needed, e.g. `Non-Memo, Guess, "
                f"Others`"
            )
        if repeated := [c for c in set(taxonomy.class_names) if taxonomy.class_names.count(c) > 1]:
            raise EngramError(f"taxonomy `{name}`: class {repeated[0]} stands twice")
        return taxonomy

    @property
    def class_names(self) -> list[str]:
        return ["-or-".join(term.name for term in terms) or OTHERS for terms in self.classes]

    @property
    def name(self) -> str:
        return ", ".join(self.class_names)

    @property
    def slug(self) -> str:
        """Readable file name: lower case, classes joined by `_`, anything else by `-`, no dots or
        stars.
        """
        return "_".join(
            "-or-".join(term.slug for term in terms) or OTHERS.lower() for terms in self.classes
        )

    def columns(self) -> set[str]:
        """Label columns that the classes read."""
        terms = [term for terms in self.classes for term in terms]
        return {"memorization_score"}.union(
            *(names_of(t.category.where) - set(t.category.parameters) for t in terms)
        )

    def codes(self, labels: pd.DataFrame) -> np.ndarray:
        """Return the position of every row's class, int8 (n,); -1 where no class holds.

        Args:
            labels: the columns of `columns()`, one row per sample. A sample that is not memorized
                belongs to Non-Memo or to no class: `Others` is the rest of the memorized ones.

        Raises:
            EngramError: a column is missing.
        """
        if missing := sorted(self.columns() - set(labels.columns)):
            raise EngramError(
                f"taxonomy `{self.name}`: the labels have no column {', '.join(missing)}"
            )
        codes = np.full(len(labels), -1, dtype=np.int8)
        memorized = labels["memorization_score"].to_numpy() == 1
        for code, terms in enumerate(self.classes):
            holds = (
                np.logical_or.reduce([term.holds(labels) for term in terms]) if terms else memorized
            )
            codes[(codes == -1) & holds] = code
        return codes

    def assign(self, labels: pd.DataFrame) -> pd.Series:
        """Return the class name of every row, missing where no class holds; with the index of
        `labels`. See `codes`.
        """
        names = np.array([*self.class_names, None], dtype=object)  # -1 is the last
        return pd.Series(
            names[self.codes(labels)], index=labels.index, name="class", dtype="string"
        )


def categories_from_config(entries: Sequence[dict]) -> tuple[Category, ...]:
    """Return the paper's categories and the config's own; a name of the paper's replaces it."""
    own = [
        Category(
            e["name"],
            e["where"],
            tuple(e.get("parameters", ())),
            tuple(map(rounded, e.get("defaults", ()))),
        )
        for e in entries
    ]
    names = [category.name for category in own]
    if repeated := [name for name in set(names) if names.count(name) > 1]:
        raise EngramError(f"categories: {repeated[0]} is defined twice")
    return (*(category for category in PAPER_CATEGORIES if category.name not in names), *own)


def _parse_term(text: str, taxonomy: str, known: dict[str, Category]) -> Term:
    match = _TERM.fullmatch(text)
    if not match or match["name"] not in known:
        raise EngramError(
            f"taxonomy `{taxonomy}`: unknown class `{text}`; the categories are "
            f"{', '.join(known)}, {OTHERS}"
        )
    category = known[match["name"]]
    if match["arguments"] is None:
        if category.parameters and not category.defaults:
            raise EngramError(
                f"taxonomy `{taxonomy}`: {text} needs its {', '.join(category.parameters)}, e.g. "
                f"`{text}[5]`"
            )
        return Term(category, category.defaults)
    arguments = tuple(_parse_number(part, text, taxonomy) for part in match["arguments"].split("-"))
    if len(arguments) != len(category.parameters):
        raise EngramError(
            f"taxonomy `{taxonomy}`: {text} has {len(arguments)} numbers, {category.name} takes "
            f"{len(category.parameters)}"
        )
    return Term(category, arguments)


def _parse_number(text: str, term: str, taxonomy: str) -> float:
    if text == "*":
        return float("inf")
    if not re.fullmatch(rf"[0-9]{{1,9}}(\.[0-9]{{1,{DECIMALS}}})?k?", text):
        raise EngramError(
            f"taxonomy `{taxonomy}`: `{text}` in {term} is not a number; write 5, 0.5, 1k or *"
        )
    # In decimal: 1.001 * 1000 is less than 1001 in binary.
    value = float(Decimal(text.removesuffix("k")) * (1000 if text.endswith("k") else 1))
    if value >= 1e9:
        raise EngramError(
            f"taxonomy `{taxonomy}`: {text} in {term} is too large; write * for what is never "
            f"reached"
        )
    return value


def format_number(value: float) -> str:
    """Return the text that `_parse_number` reads as this number, to nine decimals.

    A threshold that was computed, such as 3 * 0.1, is the one that was meant: 0.3.
    """
    value = rounded(value)
    if value == float("inf"):
        return "*"
    if value >= 1000 and value % 1000 == 0:
        return f"{value / 1000:.0f}k"
    return np.format_float_positional(value, trim="-")


def rounded(value: float) -> float:
    """Return a number of a category to the nine decimals that its name can hold."""
    return value if value == float("inf") else float(round(Decimal(repr(float(value))), DECIMALS))


def _slug_number(text: str) -> str:
    """Return a number without dots and stars, another one for every number: 05 is 0.5, 1p5 is 1.5,
    15 is 15.
    """
    return (
        "any"
        if text == "*"
        else text.replace("0.", "0", 1)
        if text.startswith("0.")
        else text.replace(".", "p")
    )

"""The taxonomy with the best minimum F1 among all merges and orders of some categories: searched on
validation, tested once.

Training CNNs for every candidate is dear. One grid is trained on the *atoms*, the finest partition
that the categories make of memorized samples; every candidate is a merge of atoms, so that the sums
of the atoms' probabilities classify by it. This ranks the candidates on the validation split. The
best few are then trained for themselves, chosen among on validation, and the chosen one is tested.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from engram.io.errors import EngramError
from engram.io.hashing import uniform
from engram.taxonomy.sampling import SPLITS, splits
from engram.taxonomy.settings import DrawSettings
from engram.taxonomy.taxonomy import NON_MEMO, OTHERS, Category, Taxonomy

_NONE = "none of them"
_MOST_CANDIDATES = 100_000


def atoms(labels: pd.DataFrame, terms: Sequence[str], categories: Sequence[Category]) -> pd.Series:
    """Return which of the categories hold of every row, as text: Non-Memo where it is not
    memorized, missing where it cannot be sampled.

    Args:
        labels: one row per candidate.
        terms: categories with their numbers, `Recite[36]`.
        categories: all that there are.
    """
    holds = {}
    for term in terms:
        taxonomy = Taxonomy.parse(f"{NON_MEMO}, {term}, {OTHERS}", categories)
        holds[taxonomy.class_names[1]] = taxonomy.codes(labels) == 1
    names = np.full(len(labels), "", dtype=object)
    for name, truth in holds.items():
        names[truth & (names != "")] += " & "
        names[truth] += name
    names[names == ""] = _NONE
    memorized = labels["memorization_score"].to_numpy() == 1
    non_memo = Taxonomy.parse(f"{NON_MEMO}, {OTHERS}", categories).codes(labels) == 0
    result = pd.Series(names, index=labels.index, dtype="string")
    return result.where(memorized, NON_MEMO).where(memorized | non_memo)


def draw_atoms(
    labels: pd.DataFrame, of: pd.Series, settings: DrawSettings, seed: int
) -> pd.DataFrame:
    """Return the atoms' sample list, as `engram.taxonomy.sampling.draw_samples` makes them, but
    every atom takes up to `per_class` for itself.

    A class that is a union of atoms takes the lowest priorities of all its members, so its samples
    are among these: no candidate needs attention of another sequence.
    """
    frame = pd.DataFrame(
        {
            "sequence_id": labels["sequence_id"],
            "class": of,
            "split": splits(labels, settings, seed),
            "priority": uniform(labels["sequence_id"].to_numpy(), seed, "priority"),
        }
    )
    parts = [
        part.nsmallest(settings.per_class, "priority")
        for _, part in frame.dropna(subset=["class"]).groupby("class")
    ]
    return pd.concat(parts, ignore_index=True)


def large_enough(drawn: pd.DataFrame) -> list[str]:
    """Return atoms with samples in every split, Non-Memo first."""
    found = drawn.groupby("class")["split"].agg(set)
    names = sorted(str(name) for name, has in found.items() if has >= set(SPLITS))
    if NON_MEMO not in names or len(names) < 3:
        raise EngramError(
            f"search: only {', '.join(names) or 'nothing'} has samples in every split; search over "
            f"more categories"
        )
    return [NON_MEMO, *(name for name in names if name != NON_MEMO)]


def candidates(
    terms: Sequence[str],
    most_classes: int,
    categories: Sequence[Category],
    counts: pd.Series,
    minimum: int,
) -> tuple[list[Taxonomy], int]:
    """Return every ordered choice of disjoint merges of the categories that makes a partition of
    its own of the atoms.

    Args:
        terms: categories with their numbers.
        most_classes: Non-Memo and Others counted.
        categories: all that there are.
        counts: memorized candidates by atom.
        minimum: members that every class must have.

    Returns:
        the taxonomies, and how many names were left out because another one divides alike or a
        class is too small.

    Raises:
        EngramError: too many to try, or none whose classes are all large enough.
    """
    total = (most_classes - 1) ** len(terms)
    if total > _MOST_CANDIDATES:
        raise EngramError(
            f"search: {len(terms)} categories in {most_classes} classes make about {total:,} "
            f"taxonomies; search over fewer"
        )
    found: dict[tuple[frozenset[str], ...], Taxonomy] = {}
    names = 0
    for places in range(1, most_classes - 1):
        # The last place means: not used.
        for places_of in itertools.product(range(places + 1), repeat=len(terms)):
            merged = [
                "-or-".join(t for t, p in zip(terms, places_of, strict=True) if p == place)
                for place in range(places)
            ]
            if not all(merged):
                continue
            names += 1
            taxonomy = Taxonomy.parse(", ".join([NON_MEMO, *merged, OTHERS]), categories)
            parts = [frozenset(part) for part in parts_of(taxonomy, counts.index)]
            if all(parts) and all(counts[list(part)].sum() >= minimum for part in parts):
                found.setdefault(tuple(sorted(parts, key=sorted)), taxonomy)
    if not found:
        raise EngramError(
            f"search: no taxonomy over {', '.join(terms)} has {minimum} samples in every class; "
            f"lower samples.minimum or search over others"
        )
    return list(found.values()), names - len(found)


def parts_of(taxonomy: Taxonomy, atom_names: Sequence[str] | pd.Index) -> list[list[str]]:
    """Return atoms of every class but Non-Memo: the first class that one of an atom's categories
    stands in, else Others.
    """
    names = [{term.name for term in terms} for terms in taxonomy.classes[1:-1]]
    parts: list[list[str]] = [[] for _ in range(len(names) + 1)]
    for name in atom_names:
        held = set(name.split(" & "))
        parts[next((k for k, terms in enumerate(names) if terms & held), len(names))].append(name)
    return parts

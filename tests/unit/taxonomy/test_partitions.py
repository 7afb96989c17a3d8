"""Equal partitions: the paper's 54 taxonomies are 51, and what is called equal divides real labels
alike.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.taxonomy.catalogue import paper_names
from engram.taxonomy.partitions import merge_equal, partition
from engram.taxonomy.taxonomy import Category, Taxonomy, categories_from_config

PAPER = [Taxonomy.parse(name) for name in paper_names([5, 50, 1000])]


def random_labels(seed: int, n: int = 400) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "memorization_score": random.choice([0.25, 0.5, 1.0, 1.0], n),
            "sequence_duplicates": random.choice([1, 5, 6, 50, 51, 1000, 1001], n),
            "rouge_l": random.choice([0.1, 0.5, 0.9], n),
            "rouge_3": random.choice([0.1, 0.5, 0.9], n),
            **{
                name: random.random(n) < 0.3
                for name in ("is_repeating", "is_incrementing", "is_code")
            },
        }
    )


def test_the_54_are_51_partitions() -> None:
    named = merge_equal(PAPER)
    assert len({entry.trained.name for entry in named}) == 51
    assert {entry.taxonomy.name: entry.trained.name for entry in named if entry.is_alias} == {
        f"Non-Memo, Recollect[{delta}], Others": f"Non-Memo, Recite[{delta}], Others"
        for delta in ("5", "50", "1k")
    }


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_an_alias_is_its_trained_taxonomy_relabelled(seed: int) -> None:
    labels = random_labels(seed)
    for entry in merge_equal(PAPER):
        expected = entry.taxonomy.assign(labels)
        relabelled = entry.trained.assign(labels).map(dict(entry.classes))
        assert expected.fillna("none").tolist() == relabelled.fillna("none").tolist(), (
            entry.taxonomy.name
        )


def test_partitions_that_differ_on_labels_are_not_called_equal() -> None:
    labels = random_labels(0, 5000)
    seen: dict[bytes, str] = {}
    for entry in merge_equal(PAPER):
        codes = pd.factorize(entry.trained.assign(labels))[0].astype(np.int8).tobytes()
        assert seen.setdefault(codes, entry.trained.name) == entry.trained.name


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("Non-Memo, Guess, Others", "Non-Memo, Guess[0.5-0.5], Others", True),
        ("Non-Memo, Guess[0.5-*], Others", "Non-Memo, Guess, Others", False),
        ("Non-Memo, Guess[*-*], Others", "Non-Memo, Reconstruct, Others", True),
        ("Non-Memo, Recite[5], Recollect[5]", "Non-Memo, Recite[5], Others", True),
        ("Recite[5], Others", "Non-Memo, Recite[5], Others", False),
        (
            "Non-Memo, Recite[5], Recite[50], Others",
            "Non-Memo, Recite[50], Recite[5], Others",
            False,
        ),
        ("Non-Memo, Text, Others", "Non-Memo, Code, Others", True),
        ("Non-Memo, Rare[5], Others", "Non-Memo, Recite[5], Others", True),
        ("Non-Memo, Rare[5], Others", "Non-Memo, Recite[6], Others", False),
        ("Non-Memo, Double[5], Others", "Non-Memo, Double[6], Others", False),
        ("Non-Memo, Strange, Others", "Non-Memo, Text, Others", True),
    ],
)
def test_pairs(one: str, other: str, equal: bool) -> None:
    own = [
        {"name": "Text", "where": "not is_code"},
        {"name": "Rare", "where": "delta >= sequence_duplicates", "parameters": ["delta"]},
        {"name": "Double", "where": "2 * sequence_duplicates > delta", "parameters": ["delta"]},
        {"name": "Strange", "where": "not (is_code or memorization_score < 1)"},
    ]
    categories: tuple[Category, ...] = categories_from_config(own)
    first, second = (partition(Taxonomy.parse(name, categories))[0] for name in (one, other))
    assert (first == second) is equal

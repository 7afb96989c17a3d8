"""Assignment of samples to classes, against a plain implementation that goes row by row."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from taxonomy_examples import EXAMPLES, PUBLISHED_NAMES

from engram.io.errors import EngramError
from engram.taxonomy.taxonomy import Taxonomy

# The predicates of the paper in plain Python (its section 3), one row and its parameters at a time.
PLAIN: dict[str, Callable[..., bool]] = {
    "Non-Memo": lambda row: row["memorization_score"] < 1,
    "Recite": lambda row, delta: row["sequence_duplicates"] > delta,
    "Recollect": lambda row, delta: row["sequence_duplicates"] <= delta,
    "Reconstruct": lambda row: row["is_repeating"] or row["is_incrementing"],
    "Guess": lambda row, rho_l=0.5, rho_3=0.5: (
        row["is_repeating"]
        or row["is_incrementing"]
        or row["rouge_l"] >= rho_l
        or row["rouge_3"] >= rho_3
    ),
    "Code": lambda row: row["is_code"],
}


def plain_class(
    row: dict[str, Any], classes: list[list[tuple[str, tuple[float, ...]]]]
) -> str | None:
    """The class of one row: the first of which a term holds; an empty class is Others. `classes`
    holds (category, numbers).
    """
    memorized = row["memorization_score"] == 1
    for index, terms in enumerate(classes):
        if not terms and memorized:
            return "Others"
        if any(
            PLAIN[name](row, *numbers) and (memorized or name == "Non-Memo")
            for name, numbers in terms
        ):
            return str(index)
    return None


def labels(n: int, seed: int = 0) -> pd.DataFrame:
    """Random labels in which every threshold is met exactly now and then."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "sequence_id": np.arange(n),
            "memorization_score": random.choice(
                [0.0, 31 / 32, 1.0, np.nan], p=[0.2, 0.15, 0.6, 0.05], size=n
            ),
            "sequence_duplicates": random.choice([1, 5, 6, 50, 51, 1000, 1001], size=n),
            "is_repeating": random.random(n) < 0.1,
            "is_incrementing": random.random(n) < 0.1,
            "is_code": random.random(n) < 0.3,
            "rouge_l": random.choice([0.0, 0.25, 0.499, 0.5, 0.75], size=n),
            "rouge_3": random.choice([0.0, 0.25, 0.499, 0.5, 0.75], size=n),
        }
    )


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        (
            "Non-Memo, Guess, Others",
            ["Non-Memo", "Guess", "Guess", "Guess", "Guess", "Others", "Others"],
        ),
        (
            "Non-Memo, Guess[0.5-*], Others",
            [
                "Non-Memo",
                "Guess[0.5-*]",
                "Guess[0.5-*]",
                "Guess[0.5-*]",
                "Others",
                "Others",
                "Others",
            ],
        ),
        (
            "Non-Memo, Guess[*-*], Others",
            ["Non-Memo", "Guess[*-*]", "Guess[*-*]", "Others", "Others", "Others", "Others"],
        ),
        (
            "Non-Memo, Recite[5], Reconstruct, Others",
            ["Non-Memo", "Reconstruct", "Recite[5]", "Recite[5]", "Others", "Others", "Recite[5]"],
        ),
        (
            "Non-Memo, Reconstruct, Recite[5], Others",
            [
                "Non-Memo",
                "Reconstruct",
                "Reconstruct",
                "Recite[5]",
                "Others",
                "Others",
                "Recite[5]",
            ],
        ),
        (
            "Non-Memo, Code-or-Recollect[5], Others",
            ["Non-Memo", "Code-or-Recollect[5]", "Others", *["Code-or-Recollect[5]"] * 3, "Others"],
        ),
        ("Non-Memo, Code", ["Non-Memo", None, None, "Code", None, "Code", None]),
        ("Code, Others", [None, "Others", "Others", "Code", "Others", "Code", "Others"]),
        (
            "Non-Memo-or-Code, Others",
            [
                "Non-Memo-or-Code",
                "Others",
                "Others",
                "Non-Memo-or-Code",
                "Others",
                "Non-Memo-or-Code",
                "Others",
            ],
        ),
    ],
)
def test_examples(name: str, classes: list[str | None]) -> None:
    assigned = Taxonomy.parse(name).assign(EXAMPLES)
    assert [None if pd.isna(value) else value for value in assigned] == classes
    assert assigned.index.tolist() == EXAMPLES.index.tolist()


@st.composite
def specifications(draw: st.DrawFn) -> list[list[tuple[str, tuple[float, ...]]]]:
    """Ordered classes of (category, numbers); an empty last class is Others."""
    term = st.one_of(
        st.sampled_from([("Non-Memo", ()), ("Reconstruct", ()), ("Guess", ()), ("Code", ())]),
        st.tuples(
            st.sampled_from(["Recite", "Recollect"]),
            st.tuples(st.sampled_from([0.0, 5.0, 50.0, 1000.0, math.inf])),
        ),
        st.tuples(st.just("Guess"), st.tuples(*[st.sampled_from([0.25, 0.5, 0.75, math.inf])] * 2)),
    )
    classes = draw(
        st.lists(
            st.lists(term, min_size=1, max_size=2),
            min_size=2,
            max_size=4,
            unique_by=lambda terms: frozenset(terms),
        )
    )
    return [*classes, []] if draw(st.booleans()) else classes


def written(classes: list[list[tuple[str, tuple[float, ...]]]]) -> str:
    def one(name: str, numbers: tuple[float, ...]) -> str:
        return (
            f"{name}[{'-'.join('*' if number == math.inf else f'{number:g}' for number in numbers)}"
            f"]"
            if numbers
            else name
        )

    return ", ".join("-or-".join(one(*term) for term in terms) or "Others" for terms in classes)


@given(specifications(), st.integers(0, 20))
def test_assignment_is_that_of_a_plain_loop(
    classes: list[list[tuple[str, tuple[float, ...]]]], seed: int
) -> None:
    try:
        taxonomy = Taxonomy.parse(written(classes))
    except EngramError as error:
        assert "stands twice" in str(error)
        return
    frame = labels(60, seed)
    expected = [plain_class(row, classes) for row in frame.to_dict("records")]
    names = taxonomy.class_names
    found = [None if pd.isna(value) else value for value in taxonomy.assign(frame)]
    assert found == [None if e is None else e if e == "Others" else names[int(e)] for e in expected]


@pytest.mark.parametrize("name", PUBLISHED_NAMES)
def test_every_scored_sample_has_one_class_of_a_published_taxonomy(name: str) -> None:
    frame = labels(500)
    assigned = Taxonomy.parse(name).assign(frame)
    assert assigned.isna().tolist() == frame["memorization_score"].isna().tolist()
    assert set(assigned.dropna()) <= set(Taxonomy.parse(name).class_names)


@pytest.mark.parametrize("name", PUBLISHED_NAMES)
def test_a_class_is_non_memo_iff_its_samples_are_not_memorized(name: str) -> None:
    frame = labels(500)
    assigned = Taxonomy.parse(name).assign(frame)
    assert ((assigned == "Non-Memo").fillna(False) == (frame["memorization_score"] < 1)).all()


def test_others_takes_no_sample_that_is_not_memorized() -> None:
    frame = labels(500)
    assigned = Taxonomy.parse("Guess, Others").assign(frame)
    assert (frame["memorization_score"][assigned == "Others"] == 1).all()
    assert assigned[frame["memorization_score"] != 1].isna().all()


@pytest.mark.parametrize(
    ("one", "other"),
    [("Recite[5]", "Guess"), ("Code", "Recollect[50]"), ("Reconstruct", "Recollect[1k]")],
)
def test_a_merged_class_is_the_union(one: str, other: str) -> None:
    frame = labels(500)
    apart = Taxonomy.parse(f"Non-Memo, {one}, {other}, Others").assign(frame)
    merged = Taxonomy.parse(f"Non-Memo, {one}-or-{other}, Others").assign(frame)
    assert merged.equals(apart.replace({one: f"{one}-or-{other}", other: f"{one}-or-{other}"}))


def test_recite_and_recollect_share_the_memorized_between_them() -> None:
    frame = labels(500)
    recite = Taxonomy.parse("Non-Memo, Recite[50], Others").assign(frame)
    recollect = Taxonomy.parse("Non-Memo, Recollect[50], Others").assign(frame)
    swapped = recollect.replace({"Recollect[50]": "Others", "Others": "Recite[50]"})
    assert recite.equals(swapped)


def test_a_repeated_index_does_not_matter() -> None:
    frame = labels(50)
    repeated = frame.set_axis(np.zeros(50, dtype=int), axis=0)
    taxonomy = Taxonomy.parse("Non-Memo, Guess, Others")
    assert taxonomy.assign(repeated).tolist() == taxonomy.assign(frame).tolist()


def test_columns_are_those_that_are_read() -> None:
    assert Taxonomy.parse("Non-Memo, Recite[5]-or-Code, Others").columns() == {
        "memorization_score",
        "sequence_duplicates",
        "is_code",
    }


def test_a_missing_column_is_named() -> None:
    with pytest.raises(
        EngramError, match=r"taxonomy `Non-Memo, Code, Others`: the labels have no column is_code"
    ):
        Taxonomy.parse("Non-Memo, Code, Others").assign(EXAMPLES.drop(columns="is_code"))

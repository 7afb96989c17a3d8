"""Taxonomies: names, slugs, and assignment against a plain implementation that goes row by row."""

import csv
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.io.errors import EngramError
from engram.taxonomy.taxonomy import PAPER_CATEGORIES, Category, Taxonomy, categories_from_config

PUBLISHED = Path(__file__).parents[3] / "resources" / "published"

with (PUBLISHED / "taxonomy_scores.csv").open(encoding="utf-8") as file:
    PUBLISHED_NAMES = sorted({row["taxonomy"] for row in csv.DictReader(file)})

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


# --- names
# --------------------------------------------------------------------------------------------------


def test_there_are_54_published_taxonomies() -> None:
    assert len(PUBLISHED_NAMES) == 54


@pytest.mark.parametrize("name", PUBLISHED_NAMES)
def test_published_names_are_read_and_written_alike(name: str) -> None:
    assert Taxonomy.parse(name).name == name


def test_published_slugs_differ_and_are_safe_file_names() -> None:
    slugs = [Taxonomy.parse(name).slug for name in PUBLISHED_NAMES]
    assert len(set(slugs)) == 54
    assert [
        slug
        for slug in slugs
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*(_[a-z0-9]+(-[a-z0-9]+)*)*", slug)
    ] == []


@pytest.mark.parametrize(
    ("written", "name", "slug"),
    [
        (
            "Non-Memo, Recite[5]-or-Guess, Others",
            "Non-Memo, Recite[5]-or-Guess, Others",
            "non-memo_recite-5-or-guess_others",
        ),
        ("Non-Memo,Guess,Others", "Non-Memo, Guess, Others", "non-memo_guess_others"),
        (
            " Non-Memo ,\n Recite[1000] , Others ",
            "Non-Memo, Recite[1k], Others",
            "non-memo_recite-1k_others",
        ),
        ("Non-Memo, Guess[0.5-0.5], Others", "Non-Memo, Guess, Others", "non-memo_guess_others"),
        (
            "Non-Memo, Guess[0.5-*], Others",
            "Non-Memo, Guess[0.5-*], Others",
            "non-memo_guess-05-any_others",
        ),
        (
            "Non-Memo, Guess[*-0.50], Others",
            "Non-Memo, Guess[*-0.5], Others",
            "non-memo_guess-any-05_others",
        ),
        (
            "Non-Memo, Recite[1.001k], Others",
            "Non-Memo, Recite[1001], Others",
            "non-memo_recite-1001_others",
        ),
        (
            "Non-Memo, Recite[1234567], Others",
            "Non-Memo, Recite[1234567], Others",
            "non-memo_recite-1234567_others",
        ),
        (
            "Non-Memo, Recite[0.00001], Others",
            "Non-Memo, Recite[0.00001], Others",
            "non-memo_recite-000001_others",
        ),
        (
            "Non-Memo, Recite[1.5], Others",
            "Non-Memo, Recite[1.5], Others",
            "non-memo_recite-1p5_others",
        ),
        ("Guess, Others", "Guess, Others", "guess_others"),
    ],
)
def test_written_forms_have_one_name_and_slug(written: str, name: str, slug: str) -> None:
    taxonomy = Taxonomy.parse(written)
    assert (taxonomy.name, taxonomy.slug) == (name, slug)


def test_thousands_are_decimal() -> None:
    """In binary 1.001 · 1000 is less than 1001, which would move a threshold by one duplicate."""
    assert Taxonomy.parse("Non-Memo, Recite[1.001k]").classes[1][0].arguments == (1001.0,)


numbers = st.one_of(
    st.just("*"),
    st.integers(0, 999_999_999).map(str),
    st.from_regex(r"[0-9]{1,6}(\.[0-9]{1,9})?k?", fullmatch=True),
)


@given(numbers, numbers)
def test_any_numbers_survive_being_written_and_read(one: str, other: str) -> None:
    taxonomy = Taxonomy.parse(f"Non-Memo, Guess[{one}-{other}], Recite[{one}], Others")
    assert Taxonomy.parse(taxonomy.name) == taxonomy


@given(numbers, numbers)
def test_different_numbers_have_different_slugs(one: str, other: str) -> None:
    first, second = (Taxonomy.parse(f"Non-Memo, Recite[{number}]") for number in (one, other))
    assert (first.slug == second.slug) == (first == second)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "unknown class ``"),
        ("Non-Memo", "at least two classes"),
        ("Non-Memo, Others, Guess", "Others takes the rest and must be the last class"),
        ("Non-Memo, Others, Others", "must be the last class"),
        ("Non-Memo, Guess, Guess[0.5-0.5], Others", "class Guess stands twice"),
        ("Non-Memo, guess, Others", "unknown class `guess`"),
        ("Non-Memo, Recall, Others", "unknown class `Recall`"),
        ("Non-Memo, Guess or Code, Others", "unknown class `Guess or Code`"),
        ("Non-Memo, Guess-or-Others", "unknown class `Others`"),
        ("Non-Memo, Guess, , Others", "unknown class ``"),
        ("Non-Memo, Recite, Others", "Recite needs its delta"),
        ("Non-Memo, Recite[], Others", "`` in Recite[] is not a number"),
        ("Non-Memo, Recite[-5], Others", "`` in Recite[-5] is not a number"),
        ("Non-Memo, Recite[5-6], Others", "Recite[5-6] has 2 numbers, Recite takes 1"),
        ("Non-Memo, Guess[0.5], Others", "Guess[0.5] has 1 numbers, Guess takes 2"),
        ("Non-Memo, Code[1], Others", "Code[1] has 1 numbers, Code takes 0"),
        ("Non-Memo, Recite[five], Others", "`five` in Recite[five] is not a number"),
        ("Non-Memo, Recite[nan], Others", "`nan` in Recite[nan] is not a number"),
        ("Non-Memo, Recite[1e3], Others", "`1e3` in Recite[1e3] is not a number"),
        ("Non-Memo, Recite[٥], Others", "is not a number"),
        ("Non-Memo, Recite[9999999k], Others", "9999999k in Recite[9999999k] is too large"),
        ("Non-Memo, Recite[5, Others", "unknown class `Recite[5`"),
        ("../x, Others", "unknown class `../x`"),
    ],
)
def test_wrong_names_are_explained(name: str, message: str) -> None:
    with pytest.raises(EngramError, match=re.escape(message)) as caught:
        Taxonomy.parse(name)
    assert str(caught.value).startswith(f"taxonomy `{name}`: ")


# --- assignment
# --------------------------------------------------------------------------------------------------

EXAMPLES = pd.DataFrame(
    [
        # memorization_score, sequence_duplicates, is_repeating, is_incrementing, rouge_l, rouge_3,
        # is_code
        (31 / 32, 100, True, True, 1.0, 1.0, True),
        (1.0, 5, True, False, 0.0, 0.0, False),
        (1.0, 6, False, True, 0.0, 0.0, False),
        (1.0, 6, False, False, 0.5, 0.0, True),
        (1.0, 5, False, False, 0.0, 0.5, False),
        (1.0, 5, False, False, 0.49, 0.49, True),
        (1.0, 6, False, False, 0.49, 0.49, False),
    ],
    columns=[
        "memorization_score",
        "sequence_duplicates",
        "is_repeating",
        "is_incrementing",
        "rouge_l",
        "rouge_3",
        "is_code",
    ],
    index=[70, 60, 50, 40, 30, 20, 10],
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


# --- categories
# --------------------------------------------------------------------------------------------------


def test_a_category_of_the_config_is_used_by_name() -> None:
    categories = categories_from_config(
        [
            {
                "name": "Rare-Code",
                "where": "is_code and sequence_duplicates < most",
                "parameters": ["most"],
                "defaults": [6],
            }
        ]
    )
    assigned = Taxonomy.parse("Non-Memo, Rare-Code, Others", categories).assign(EXAMPLES)
    assert assigned.tolist() == [
        "Non-Memo",
        "Others",
        "Others",
        "Others",
        "Others",
        "Rare-Code",
        "Others",
    ]
    wider = Taxonomy.parse("Non-Memo, Rare-Code[7], Others", categories)
    assert wider.assign(EXAMPLES).tolist() == [
        "Non-Memo",
        "Others",
        "Others",
        "Rare-Code[7]",
        "Others",
        "Rare-Code[7]",
        "Others",
    ]
    assert wider.slug == "non-memo_rare-code-7_others"


def test_a_category_without_columns_holds_for_every_memorized_sample() -> None:
    categories = categories_from_config([{"name": "Any", "where": "1 < 2"}])
    assert Taxonomy.parse("Any, Non-Memo", categories).assign(EXAMPLES).tolist() == [
        "Non-Memo",
        *["Any"] * 6,
    ]


def test_a_category_of_the_config_replaces_the_papers() -> None:
    categories = categories_from_config(
        [
            {
                "name": "Non-Memo",
                "where": "memorization_score < low",
                "parameters": ["low"],
                "defaults": [0.5],
            }
        ]
    )
    assert len(categories) == len(PAPER_CATEGORIES)
    frame = pd.DataFrame({"memorization_score": [0.25, 0.75, 1.0]})
    assigned = Taxonomy.parse("Non-Memo, Others", categories).assign(frame)
    assert [None if pd.isna(value) else value for value in assigned] == ["Non-Memo", None, "Others"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "guess", "where": "is_code"}, "a name is capitalised words"),
        ({"name": "../X", "where": "is_code"}, "a name is capitalised words"),
        ({"name": "X\n", "where": "is_code"}, "a name is capitalised words"),
        ({"name": "Others", "where": "is_code"}, "not Others"),
        ({"name": "A-or-B", "where": "is_code"}, "a name is capitalised words"),
        (
            {"name": "X", "where": "rouge_l > r", "parameters": ["r"], "defaults": [1, 2]},
            "1 parameters but 2 defaults",
        ),
        (
            {"name": "X", "where": "rouge_l > r", "parameters": ["r", "r"]},
            "a parameter stands twice",
        ),
        (
            {"name": "X", "where": "rouge_l > r", "parameters": ["r", "q"]},
            "parameter q does not occur",
        ),
        ({"name": "X", "where": "rouge_l >"}, "not an expression"),
    ],
)
def test_wrong_categories_are_explained(entry: dict, message: str) -> None:
    with pytest.raises(EngramError, match=re.escape(message)):
        categories_from_config([entry])


def test_a_category_defined_twice_is_refused() -> None:
    entry = {"name": "X", "where": "is_code"}
    with pytest.raises(EngramError, match="categories: X is defined twice"):
        categories_from_config([entry, entry])


def test_defaults_must_fit_the_parameters() -> None:
    with pytest.raises(EngramError, match="category X: 1 parameters but 2 defaults"):
        Category("X", "rouge_l > r", ("r",), (1.0, 2.0))

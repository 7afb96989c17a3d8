"""Categories of a config: used by name, in place of the paper's, and refused where wrong."""

import re

import pandas as pd
import pytest
from taxonomy_examples import EXAMPLES

from engram.io.errors import EngramError
from engram.taxonomy.taxonomy import PAPER_CATEGORIES, Category, Taxonomy, categories_from_config


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

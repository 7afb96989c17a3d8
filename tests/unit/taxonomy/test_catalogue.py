"""The paper's taxonomies by name, against its published tables; what the config makes of them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from engram.io.errors import EngramError
from engram.run.config import complete
from engram.run.study_taxonomies import localized, named_taxonomies, taxonomies
from engram.taxonomy.catalogue import RHO_KINDS, paper_names, rho_names
from engram.taxonomy.taxonomy import Taxonomy, categories_from_config

PUBLISHED = Path(__file__).parents[3] / "resources" / "published"
GRID = [tenth / 10 for tenth in range(1, 10)]
MINIMAL = {"study": "x", "models": [{"name": "m", "source": "nursery"}], "taxonomies": "paper"}


def test_the_names_are_the_published_ones() -> None:
    published = pd.read_csv(PUBLISHED / "taxonomy_scores.csv")
    for models, part in published.groupby("models"):
        assert sorted(paper_names([5, 50, 1000])) == sorted(part["taxonomy"]), models


def test_names_are_written_as_they_are_read() -> None:
    for name in [*paper_names([5, 50, 1000, 36]), *rho_names(dict.fromkeys(RHO_KINDS, GRID))]:
        assert Taxonomy.parse(name).name in (name, name.replace("Guess[0.5-0.5]", "Guess"))


def test_the_paper_is_51_trained_taxonomies_and_26_thresholds_more() -> None:
    assert len(taxonomies(complete(MINIMAL))) == 51
    rho = dict.fromkeys(RHO_KINDS, GRID)
    completed = complete(MINIMAL | {"rho": rho})
    assert len(taxonomies(completed)) == 51 + 26  # ρ = 0.5 of both is the benchmark's Guess
    assert len(named_taxonomies(completed)) == 54 + 26


def test_paper_mixes_with_other_taxonomies() -> None:
    names = ["Non-Memo, Guess, Others", "paper", "Non-Memo, Recite[36], Others"]
    found = [
        named.taxonomy.name for named in named_taxonomies(complete(MINIMAL | {"taxonomies": names}))
    ]
    assert found[0] == names[0]
    assert found[-1] == names[-1]
    assert len(found) == len(set(found)) == 55


def test_deltas_replace_the_papers() -> None:
    found = [
        named.taxonomy.name for named in named_taxonomies(complete(MINIMAL | {"deltas": [36]}))
    ]
    assert len(found) == 20
    assert not any("[5" in name or "[1k" in name for name in found)


def test_what_is_localized_may_be_named_by_an_alias() -> None:
    completed = complete(MINIMAL | {"saliency": {"localize": ["Non-Memo, Recollect[5], Others"]}})
    assert localized(completed) == ["non-memo_recite-5_others"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"taxonomies": "papers"}, "taxonomies: 'papers' is not a list"),
        ({"rho": {"rouge_2": [0.5]}}, "rho: unknown key rouge_2 (did you mean"),
        ({"rho": {"rouge_l": [1.5]}}, "rho.rouge_l.0: 1.5 is greater than the maximum, 1"),
        ({"deltas": []}, "deltas: [] has too few items; the minimum is 1"),
        (
            {"taxonomies": ["paper", "Guess, Others", "Guess[0.5-0.5], Others"]},
            "are one taxonomy or have one folder name",
        ),
    ],
)
def test_mistakes_are_one_line(changes: dict, message: str) -> None:
    with pytest.raises(EngramError, match=r"^[^\n]+$") as caught:
        complete(MINIMAL | changes)
    assert message in str(caught.value)


def test_a_threshold_that_was_computed_is_the_one_that_was_meant() -> None:
    """3 * .1 is 0.30000000000000004, a number that no name holds."""
    names = rho_names({kind: [3 * 0.1, 1 - 0.9, 1e-9, 1 / 3] for kind in RHO_KINDS})
    assert names[0] == "Non-Memo, Guess[0.3-*], Others"
    assert names[1] == "Non-Memo, Guess[0.1-*], Others"
    for name in names:
        assert Taxonomy.parse(name).name == name
    study = complete(MINIMAL | {"taxonomies": ["Non-Memo, Others"], "rho": {"both": [3 * 0.1]}})
    assert "non-memo_guess-03-03_others" in taxonomies(study)


def test_the_default_of_a_category_is_rounded_likewise() -> None:
    where = "rouge_l >= rho"
    own = {"name": "Near", "where": where, "parameters": ["rho"], "defaults": [3 * 0.1]}
    categories = categories_from_config([own])
    assert Taxonomy.parse("Non-Memo, Near[0.3], Others", categories).class_names[1] == "Near"

"""Taxonomies and classes of a config: which are trained, localized, steered and compared."""

import pytest
from configs import MINIMAL, changed

from engram.io.errors import EngramError
from engram.run.config import complete
from engram.run.study_taxonomies import (
    attacked,
    compared_classes,
    localized,
    steered,
    taxonomies,
    used_categories,
)


def test_taxonomies_by_slug_in_order() -> None:
    completed = complete(
        changed("taxonomies", to=["Non-Memo, Guess, Others", "Non-Memo,Recite[1000],Others"])
    )
    found = {slug: taxonomy.name for slug, taxonomy in taxonomies(completed).items()}
    assert found == {
        "non-memo_guess_others": "Non-Memo, Guess, Others",
        "non-memo_recite-1k_others": "Non-Memo, Recite[1k], Others",
    }


@pytest.mark.parametrize(
    ("localize", "slugs"),
    [
        ([], ["non-memo_guess_others", "non-memo_code_others"]),
        (["Non-Memo, Code, Others"], ["non-memo_code_others"]),
        (["Non-Memo,Guess,Others", "Non-Memo, Guess[0.5-0.5], Others"], ["non-memo_guess_others"]),
    ],
)
def test_localized_taxonomies(localize: list[str], slugs: list[str]) -> None:
    config = changed(
        "taxonomies", to=["Non-Memo, Guess, Others", "Non-Memo, Code, Others"], of=MINIMAL
    )
    assert localized(complete(changed("saliency", "localize", to=localize, of=config))) == slugs


def test_steered_are_localized_taxonomies_with_both_classes() -> None:
    names = ["Non-Memo, Guess, Others", "Non-Memo, Guess", "Guess, Others"]
    config = MINIMAL | {"taxonomies": names}
    assert steered(complete(config)) == []
    steering = {"enabled": True}
    config |= {"mechanisms": {"steering": steering}, "saliency": {"localize": names[:2]}}
    assert steered(complete(config)) == ["non-memo_guess_others"]
    steering |= {"recalled": "Guess", "kept": "Non-Memo"}
    assert len(steered(complete(config))) == 2
    config = MINIMAL | {"taxonomies": [*names, "Non-Memo, Code, Others"]}
    assert attacked(complete(config)) == []
    config |= {"mechanisms": {"locality": {"enabled": True}}}
    assert attacked(complete(config)) == ["non-memo_guess_others", "guess_others"]


@pytest.mark.parametrize(
    ("place", "to", "used"),
    [
        (("taxonomies",), ["Non-Memo, Guess, Others"], []),
        (("taxonomies",), ["Non-Memo, Long[5]-or-Guess, Others"], ["Long"]),
        (("flow",), ["Non-Memo, Rare, Others", "Non-Memo, Guess, Others"], ["Rare"]),
        (("search", "categories"), ["Long[3]", "Guess"], ["Long"]),
    ],
)
def test_used_categories_are_those_that_something_names(
    place: tuple, to: list[str], used: list[str]
) -> None:
    categories = [
        {"name": "Rare", "where": "sequence_duplicates < 3"},
        {"name": "Long", "where": "sequence_duplicates > n", "parameters": ["n"]},
    ]
    config = complete(changed(*place, to=to, of=MINIMAL | {"categories": categories}))
    assert [category["name"] for category in used_categories(config)] == used


@pytest.mark.parametrize(
    ("pair", "error"),
    [
        (("Non-Memo, Code, Others", "Code", "Others"), "is not among the study's taxonomies"),
        (("Non-Memo, Guess, Others", "Code", "Others"), "`Code` is not a class of `Non-Memo, Gu"),
        (("Non-Memo, Guess, Others", "Guess", "Guess"), "`Guess` is given twice"),
    ],
)
def test_compared_classes_belong_to_a_taxonomy_of_the_study(
    pair: tuple[str, str, str], error: str
) -> None:
    config = {"study": "s", "models": [{"name": "a", "source": "nursery"}]}
    config["taxonomies"] = ["Non-Memo, Guess, Others"]
    config["matched"] = {"pairs": [dict(zip(("taxonomy", "first", "second"), pair, strict=True))]}
    with pytest.raises(EngramError, match=rf"matched\.pairs: .*{error}"):
        complete(config)


def test_compared_classes_go_by_the_names_that_are_trained() -> None:
    config = {"study": "s", "models": [{"name": "a", "source": "nursery"}]}
    config["taxonomies"] = ["Recite[5], Others", "Recollect[5], Others"]
    pair = {"taxonomy": "Recollect[5], Others", "first": "Recollect[5]", "second": "Others"}
    completed = complete(config | {"matched": {"pairs": [pair]}})
    (trained,) = compared_classes(completed)
    assert trained == {"taxonomy": "recite-5_others", "first": "Others", "second": "Recite[5]"}
    with pytest.raises(EngramError, match="needs a validation split"):
        complete(config | {"matched": {"pairs": [pair]}, "protocols": ["paper"]})

"""Names and slugs of taxonomies: what is written is read alike, and wrong names are explained."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from taxonomy_examples import PUBLISHED_NAMES

from engram.io.errors import EngramError
from engram.taxonomy.taxonomy import Taxonomy


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

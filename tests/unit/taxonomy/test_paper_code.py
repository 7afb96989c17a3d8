"""Names of taxonomies that the paper's code writes."""

import pytest

from engram.io.errors import EngramError
from engram.taxonomy.paper_code import taxonomy_of


@pytest.mark.parametrize(
    ("name", "rouge", "duplicates", "expected"),
    [
        ("other_recite_reconstruct_recollect", 0.5, 5, "Non-Memo, Recite[5], Reconstruct, Others"),
        ("merge_2_other_guess_recite_recollect", 0.5, 5, "Non-Memo, Guess, Others"),
        ("merge_2_other_guess_recite_recollect", 0.7, 5, "Non-Memo, Guess[0.7-0.7], Others"),
        ("merge_2_other_guess_recite_recollect", 1.3, 5, "Non-Memo, Guess[0.3-*], Others"),
        ("merge_2_other_guess_recite_recollect", 2.1, 5, "Non-Memo, Guess[*-0.1], Others"),
        ("merge_1_other_recite_guess_memo", 0.5, 1000, "Non-Memo, Recite[1k]-or-Guess, Others"),
        ("merge_1_other_code_recollect_memo", 0.5, 50, "Non-Memo, Code-or-Recollect[50], Others"),
    ],
)
def test_a_name_of_the_papers_code_is_a_taxonomy(
    name: str, rouge: float, duplicates: float, expected: str
) -> None:
    assert taxonomy_of(name, rouge, duplicates).name == expected


@pytest.mark.parametrize(
    "name", ["", "other_recite_guess", "recite_guess_code_memo", "other_a_b_c"]
)
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(EngramError, match=f"tax_name `{name}`: it is not one of the paper's code"):
        taxonomy_of(name, 0.5, 5)


@pytest.mark.parametrize("rho", [0, 3.5, float("nan")])
def test_another_threshold_is_refused(rho: float) -> None:
    with pytest.raises(EngramError, match="rouge_threshold"):
        taxonomy_of("other_recite_guess_code", rho, 5)

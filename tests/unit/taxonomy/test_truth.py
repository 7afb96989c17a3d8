"""The paper's rule against the twin's truth."""

import pandas as pd

from engram.taxonomy.truth import truth, truth_table


def make_labels() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "memorization_score": [1.0, 1.0, 1.0, 0.5],
            "twin_extracted": [True, False, False, True],
            "is_repeating": [True, False, True, False],
            "is_incrementing": False,
            "rouge_l": [0.9, 0.1, 0.8, 0.1],
            "rouge_3": [0.9, 0.0, 0.8, 0.0],
            "kind": ["counter", "natural", "counter", "natural"],
            "exposures": [0, 50, 50, 1],
        }
    )


def test_what_the_twin_extracts_too_was_guessed() -> None:
    assert truth(make_labels()).tolist() == ["guessed", "recalled", "recalled", "not memorized"]


def test_rule_and_truth_are_counted_per_kind() -> None:
    table = truth_table(make_labels(), "nursery").set_index(["rule", "kind", "drilled"])
    assert table.loc[("Guess", "counter", False), "guessed"] == 1
    assert table.loc[("Guess", "counter", True), "recalled"] == 1
    assert table.loc[("Recall", "natural", True), "recalled"] == 1
    assert table.loc[("Non-Memo", "all", True), "not_memorized"] == 1


def test_the_kinds_sum_to_all() -> None:
    table = truth_table(make_labels(), "nursery")
    assert (
        table.loc[table["kind"] == "all", "n"].sum()
        == table.loc[table["kind"] != "all", "n"].sum()
        == 4
    )


def test_what_was_never_shown_was_not_recalled() -> None:
    labels = make_labels().assign(exposures=[0, 0, 50, 0])
    assert truth(labels).tolist() == ["guessed", "drift", "recalled", "not memorized"]
    table = truth_table(labels, "nursery").set_index(["rule", "kind", "drilled"])
    assert table.loc[("Recall", "natural", False), ["recalled", "drift"]].tolist() == [0, 1]
    unknown = labels.drop(columns="exposures")
    assert truth(unknown).tolist() == ["guessed", "recalled", "recalled", "not memorized"]

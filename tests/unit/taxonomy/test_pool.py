"""The pool: every sampled sequence once, Non-Memo ones with the model's own text."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engram.io.artifacts import write_parquet
from engram.io.errors import EngramError
from engram.taxonomy.pool import (
    agreement,
    displayed_own,
    gather_lists,
    measured_scores,
    non_memorized,
    pool,
    read_pool,
    reproduced,
    with_true_text,
)

CANDIDATES = pd.DataFrame(
    {
        "sequence_id": [5, 3, 9, 1, 7],
        "tokens": [[5] * 4, [3] * 4, [9] * 4, [1] * 4, [7] * 4],
        "text": list("abcde"),
    }
)
CONTINUATIONS = pd.DataFrame({"sequence_id": [9, 1], "tokens": [[9, 9, 0, 0], [1, 1, 0, 0]]})


def samples(*rows: tuple[int, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["sequence_id", "class"]).astype(
        {"sequence_id": "int64", "class": "string"}
    )


def as_dict(sequences: pd.DataFrame) -> dict[int, tuple[list[int], bool]]:
    return {
        i: (list(tokens), continued) for i, tokens, continued in sequences.itertuples(index=False)
    }


def test_the_pool_is_the_union_of_the_lists_in_order() -> None:
    taken = pool(
        samples((9, "Non-Memo"), (5, "Guess"), (3, "Others"), (3, "Recite[5]"), (9, "Non-Memo")),
        CANDIDATES,
        CONTINUATIONS,
    )
    assert taken["sequence_id"].tolist() == [3, 5, 9]
    assert taken.columns.tolist() == ["sequence_id", "tokens", "continued"]
    assert taken["sequence_id"].dtype == np.int64 and taken["continued"].dtype == bool


def test_non_memo_samples_have_the_models_own_text() -> None:
    taken = pool(samples((9, "Non-Memo"), (5, "Guess"), (1, "Non-Memo")), CANDIDATES, CONTINUATIONS)
    assert as_dict(taken) == {1: ([1, 1, 0, 0], True), 5: ([5] * 4, False), 9: ([9, 9, 0, 0], True)}


def test_a_continuation_of_a_sequence_that_is_not_sampled_is_left_out() -> None:
    assert as_dict(
        pool(samples((5, "Guess"), (1, "Non-Memo")), CANDIDATES, CONTINUATIONS)
    ).keys() == {1, 5}


def test_a_continuation_replaces_the_text_of_non_memo_samples_only() -> None:
    assert as_dict(pool(samples((9, "Guess")), CANDIDATES, CONTINUATIONS)) == {9: ([9] * 4, False)}


def test_no_samples_make_an_empty_pool() -> None:
    assert pool(samples(), CANDIDATES, CONTINUATIONS).empty


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Non-Memo", True),
        ("Non-Memo-or-Guess", True),
        ("Code-or-Non-Memo", True),
        ("Guess", False),
        ("Others", False),
        ("Non-Memory", False),
        ("Recite[5]-or-Guess[0.5-*]", False),
    ],
)
def test_non_memorized_are_members_of_classes_with_non_memo(name: str, found: bool) -> None:
    assert non_memorized(samples((4, name), (2, "Others"))).tolist() == ([4] if found else [])


def test_non_memorized_are_sorted_and_unique() -> None:
    assert non_memorized(samples((9, "Non-Memo"), (1, "Non-Memo"), (9, "Non-Memo"))).tolist() == [
        1,
        9,
    ]


def test_a_sample_that_is_no_candidate_is_an_error() -> None:
    with pytest.raises(EngramError, match="candidates: 2 samples are missing, sequence_id 4 first"):
        pool(samples((5, "Guess"), (8, "Guess"), (4, "Others")), CANDIDATES, CONTINUATIONS)


def test_a_non_memo_sample_without_continuation_is_an_error() -> None:
    """Its own text would mark its class: the other classes show text that the model wrote."""
    with pytest.raises(
        EngramError, match="continuations: 1 samples are missing, sequence_id 3 first"
    ):
        pool(samples((3, "Non-Memo"), (9, "Non-Memo")), CANDIDATES, CONTINUATIONS)


def test_the_measured_score_is_what_the_continuation_has_of_the_true_suffix() -> None:
    continuations = pd.DataFrame(
        {"sequence_id": [3, 1], "tokens": [[9, 1, 2, 3, 4], [9, 5, 5, 5, 5]]}
    )
    candidates = pd.DataFrame(
        {"sequence_id": [1, 2, 3], "tokens": [[9, 5, 5, 0, 0], [9, 0, 0, 0, 0], [9, 1, 2, 3, 0]]}
    )
    assert measured_scores(continuations, candidates, prefix=1).to_dict() == {3: 0.75, 1: 0.5}


def test_no_continuations_have_no_scores() -> None:
    nothing = pd.DataFrame({"sequence_id": np.empty(0, np.int64), "tokens": []})
    assert measured_scores(nothing, CANDIDATES, prefix=1).empty


def test_agreement_counts_what_the_model_fails_to_reproduce() -> None:
    verification = pd.DataFrame(
        {"sequence_id": range(6), "extracted": [True, False, True, True, False, True]}
    )
    labels = pd.DataFrame(
        {
            "sequence_id": range(9),
            "memorization_score": [1.0, 1.0, 31 / 32, 0.95, 0.1, 0.0, 0.5, 0.5, 0.5],
        }
    )
    measured = pd.Series({2: 0.969, 3: 1.0, 4: 0.1, 5: 1 / 32})  # 31/32 was rounded by the source
    expected = {
        "score": [0.0, 0.1, 0.9, 1.0],
        "n": [1, 1, 2, 2],
        "extracted": [1, 0, 2, 1],
        "disagree": [0, 1, 0, 1],
    }
    assert agreement(verification, labels, measured).to_dict("list") == expected | {
        "other_score": [1, 0, 1, 1]
    }


def test_lists_are_gathered_with_the_number_of_lists_that_hold_a_sample(tmp_path: Path) -> None:
    first = samples((9, "Non-Memo"), (5, "Guess"))
    second = samples((9, "Non-Memo"), (5, "Others"), (1, "Others"))
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for table, path in zip((first, second), paths, strict=True):
        write_parquet(table, path)
    gathered = gather_lists(paths)
    assert list(gathered.itertuples(index=False, name=None)) == [
        (1, "Others", 1),
        (5, "Guess", 1),
        (5, "Others", 1),
        (9, "Non-Memo", 2),
    ]


def test_true_text_is_shown_without_any_continuation() -> None:
    listed = samples((9, "Non-Memo"), (5, "Guess"))
    expected = {5: ([5] * 4, False), 9: ([9] * 4, False)}
    assert as_dict(pool(listed, CANDIDATES, CONTINUATIONS, "true")) == expected
    assert as_dict(pool(listed, CANDIDATES, CONTINUATIONS[:0], "true")) == expected


def test_own_for_all_shows_every_continuation_and_misses_none() -> None:
    taken = pool(samples((9, "Non-Memo"), (1, "Guess")), CANDIDATES, CONTINUATIONS, "own-for-all")
    assert as_dict(taken) == {1: ([1, 1, 0, 0], True), 9: ([9, 9, 0, 0], True)}
    with pytest.raises(EngramError, match="continuations: 1 samples are missing, sequence_id 5"):
        pool(samples((9, "Non-Memo"), (5, "Guess")), CANDIDATES, CONTINUATIONS, "own-for-all")


@pytest.mark.parametrize(("shown", "ids"), [("own", [9]), ("true", []), ("own-for-all", [1, 5, 9])])
def test_continuations_are_written_for_what_shows_them(shown: str, ids: list[int]) -> None:
    listed = samples((9, "Non-Memo"), (5, "Guess"), (1, "Others"), (5, "Others"))
    assert displayed_own(listed, shown).tolist() == ids


def test_a_pool_follows_what_its_continuations_were_written_for(tmp_path: Path) -> None:
    listed, paths = samples((9, "Non-Memo"), (1, "Guess")), []
    for name, table in (("samples", listed), ("candidates", CANDIDATES)):
        paths.append(tmp_path / f"{name}.parquet")
        write_parquet(table, paths[-1])
    own = {}
    for shown in ("own", "true", "own-for-all"):
        path = tmp_path / f"{shown}.parquet"
        write_parquet(CONTINUATIONS, path, {"shown": shown})
        own[shown] = read_pool(*paths, path)["continued"].tolist()
    assert own == {"own": [False, True], "true": [False, False], "own-for-all": [True, True]}
    assert read_pool(*paths, None)["continued"].tolist() == [False, False]


def test_what_a_class_asks_of_the_model_depends_on_the_text_shown() -> None:
    """Four samples that are memorized by the source and not, and that this run extracts or not."""
    memorized = np.array([True, True, False, False])
    shown = pd.DataFrame({"sequence_id": range(4), "extracted": [True, False, True, False]})
    own = with_true_text(shown, "own")
    assert reproduced(own, memorized).tolist() == [True, False, True, False]
    true = with_true_text(shown, "true")
    assert reproduced(true, memorized).tolist() == [True, False, False, True]
    measured = pd.Series({0: 1.0, 1: 1.0, 2: 0.5, 3: 0.5})
    every = with_true_text(shown, "own-for-all", measured)
    assert reproduced(every, memorized).tolist() == [True, False, True, False]
    other = with_true_text(shown.assign(extracted=True), "own-for-all", 1.5 - measured)
    assert reproduced(other, memorized).tolist() == [False, False, False, False]


def test_agreement_asks_of_true_text_that_it_is_not_reproduced_below_1() -> None:
    shown = pd.DataFrame({"sequence_id": range(4), "extracted": [True, False, True, False]})
    labels = pd.DataFrame({"sequence_id": range(4), "memorization_score": [1.0, 1.0, 0.5, 0.5]})
    table = agreement(with_true_text(shown, "true"), labels, pd.Series(dtype=float))
    assert table["disagree"].tolist() == [1, 1]
    assert table["other_score"].tolist() == [1, 1]

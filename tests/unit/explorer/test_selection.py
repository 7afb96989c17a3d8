"""Which samples the explorer shows: fair to classes, lowest priority first, the same every time."""

import numpy as np
import pandas as pd

from engram.explorer.selection import choose_samples, share


def held_out(**lists: list[int]) -> pd.DataFrame:
    """Classes of one taxonomy, each with its sequences in the order of their priority."""
    rows = [
        ("engram", "t", name, sequence, place / 100)
        for name, ids in lists.items()
        for place, sequence in enumerate(ids)
    ]
    return pd.DataFrame(rows, columns=["protocol", "taxonomy", "class", "sequence_id", "priority"])


def test_every_class_gets_as_many_and_those_of_the_lowest_priority() -> None:
    assert choose_samples(held_out(a=[5, 3, 9], b=[8, 1, 2]), 4).tolist() == [5, 8, 3, 1]


def test_a_class_that_runs_out_leaves_its_turn() -> None:
    assert choose_samples(held_out(a=[5], b=[8, 1, 2]), 4).tolist() == [5, 8, 1, 2]


def test_a_shared_sequence_counts_for_both_classes() -> None:
    assert choose_samples(held_out(a=[5, 3], b=[5, 4]), 3).tolist() == [5, 3, 4]


def test_all_are_taken_where_there_are_fewer() -> None:
    assert sorted(choose_samples(held_out(a=[5, 3], b=[4]), 99)) == [3, 4, 5]


def test_the_order_of_the_rows_changes_nothing() -> None:
    frame = held_out(a=list(range(20)), b=list(range(10, 40)))
    shuffled = pd.concat(
        [rows.sample(frac=1, random_state=1) for _, rows in frame.groupby("class")]
    )
    assert np.array_equal(choose_samples(frame, 13), choose_samples(shuffled, 13))


def test_models_share_samples_and_none_is_left_without() -> None:
    assert share(8, ["a", "b", "c"]) == {"a": 3, "b": 3, "c": 2}
    assert share(1, ["a", "b"]) == {"a": 1, "b": 1}

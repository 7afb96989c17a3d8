"""Confusion matrices from predictions."""

import numpy as np
import pandas as pd

from engram.scores.confusions import recall_by_kind, summed_confusions

CLASSES = ["Non-Memo", "Guess"]


def predictions(rows: list[tuple[str, str, str, str, list[float]]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["input", "labels", "split", "class", "logits"])


def test_only_the_test_split_counts_and_cnns_are_summed() -> None:
    frame = predictions(
        [
            ("attention", "real", "test", "Guess", [0.1, 0.9]),
            ("attention", "real", "test", "Guess", [0.8, 0.2]),
            ("attention", "real", "test", "Non-Memo", [0.8, 0.2]),
            ("attention", "real", "train", "Non-Memo", [0.1, 0.9]),
            ("attention", "shuffled", "test", "Guess", [0.9, 0.1]),
        ]
    )
    confusions = summed_confusions(frame, CLASSES)
    np.testing.assert_array_equal(confusions["attention", "real"], [[1, 0], [1, 1]])
    np.testing.assert_array_equal(confusions["attention", "shuffled"], [[0, 0], [1, 0]])


def test_a_run_without_predictions_is_left_out() -> None:
    confusions = summed_confusions(
        predictions([("attention", "real", "test", "Guess", [0.1, 0.9])]), CLASSES
    )
    assert list(confusions) == [("attention", "real")]


def test_recall_is_given_for_natural_text_and_templates_apart() -> None:
    frame = predictions(
        [
            ("attention", "real", "test", "Guess", logits)
            for logits in ([0.1, 0.9], [0.8, 0.2], [0.2, 0.8], [0.3, 0.7])
        ]
    )
    frame["sequence_id"] = frame["content_group"] = [0, 1, 2, 3]
    kinds = pd.Series(["natural", "natural", "counter", "repeat"])
    table = recall_by_kind(frame, CLASSES, kinds).set_index("text")
    assert table.loc["natural", ["n", "recall"]].tolist() == [2, 0.5]
    assert table.loc["templates", ["n", "recall"]].tolist() == [2, 1.0]
    assert table.loc["natural", "recall_low"] == 0 and table.loc["natural", "recall_high"] == 1

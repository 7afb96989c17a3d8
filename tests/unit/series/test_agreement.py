"""Windows that several models memorize: overlap, chance, classes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from engram.series.agreement import SAME_CLASS, agreement_table, shared_table, window_keys

MEASURES = [("", "matched_fraction"), ("", "full"), ("s", "Guess"), ("s", "Others")]


def answers(full: np.ndarray, guess: np.ndarray | None = None, first: int = 0) -> pd.DataFrame:
    """A model's windows; `first` is the number of the first one."""
    number = first + np.arange(len(full))
    guess = full * (number % 2) if guess is None else guess
    keys = window_keys(number[:, None], [f"text {each}" for each in number])
    return pd.DataFrame(
        {
            "content_group": number,
            "matched_fraction": full,
            "full": full,
            "s: Guess": guess,
            "s: Others": full - guess,
        }
    ).join(keys)


def test_equal_sets_agree_and_random_ones_as_chance_says() -> None:
    random = np.random.default_rng(0)
    one, two = ((random.random(4000) < share).astype(float) for share in (0.4, 0.2))
    models = {"a": answers(one), "same": answers(one), "b": answers(two)}
    table = agreement_table(models, MEASURES, 0.95).set_index(["measure", "first", "second"])
    same = table.loc[("full", "a", "same")]
    assert same["jaccard"] == same["high"] == 1 > same["low"] > 0.99
    assert same["p_chance"] < 1e-9
    other = table.loc[("full", "a", "b")]
    both, either = ((one + two) == 2).sum(), ((one + two) > 0).sum()
    assert (other["both"], other["windows"]) == (both, 4000)
    assert other["jaccard"] == pytest.approx(both / either)
    expected = one.sum() * two.sum() / 4000
    assert other["chance"] == pytest.approx(expected / (one.sum() + two.sum() - expected))
    assert other["low"] <= other["chance"] <= other["high"] and 0.01 < other["p_chance"] < 0.99
    classes = table.loc[(SAME_CLASS, "a", "same")]
    assert classes["jaccard"] == 1 and classes["chance"] == pytest.approx(0.5, abs=0.01)


def test_another_class_is_no_agreement() -> None:
    full = np.ones(10)
    models = {"a": answers(full, guess=full), "b": answers(full, guess=full * 0)}
    table = agreement_table(models, MEASURES, 0.95).set_index("measure")
    assert table.loc[SAME_CLASS, ["both", "jaccard", "chance"]].tolist() == [0, 0, 0]
    assert table.loc["Guess", "jaccard"] == 0 and table.loc["full", "jaccard"] == 1


def test_windows_are_matched_by_tokens_and_else_by_text() -> None:
    models = {"a": answers(np.ones(6)), "b": answers(np.ones(6), first=2)}
    row = agreement_table(models, MEASURES, 0.95).iloc[0]
    assert (row["matched_by"], row["windows"]) == ("tokens", 4)
    models["b"]["tokens"] += 1000
    row = agreement_table(models, MEASURES, 0.95).iloc[0]
    assert (row["matched_by"], row["windows"]) == ("text", 4)
    models["b"]["text"] += 1000
    assert agreement_table(models, MEASURES, 0.95).empty
    assert shared_table(models, {"a": "A", "b": "A"}, 0.95).empty


def test_windows_are_counted_by_how_many_models_memorize_them() -> None:
    full = {"a": [1, 1, 0, 0], "b": [1, 0, 0, 0], "c": [1, 1, 1, 0]}
    models = {name: answers(np.array(values, float)) for name, values in full.items()}
    table = shared_table(models, {"a": "A", "b": "A", "c": "C"}, 0.95)
    counts = table.set_index(["models", "memorized_by"])
    assert counts.loc["A", "windows"].tolist() == [2, 1, 1]
    assert counts.loc["all models", "windows"].tolist() == [1, 1, 1, 1]
    np.testing.assert_allclose(counts.loc["A", "chance"], [3 / 8, 4 / 8, 1 / 8])
    assert counts.groupby("models")["chance"].sum().tolist() == pytest.approx([1, 1, 1])

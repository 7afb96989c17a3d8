"""The table of the text that classes show."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engram.io.artifacts import write_parquet
from engram.scores.shown_table import described_texts, shown_table

RUN_TEXT = list(range(100, 120))


def test_a_row_per_class_and_measure_with_its_own_n() -> None:
    chosen = pd.DataFrame({"class": ["Guess"] * 4 + ["Others"] * 3})
    group = np.array([0, 0, 1, 2, 3, 4, 5])
    measures = pd.DataFrame(
        {
            "rouge_l": [0.5, 0.5, 1.0, 0.0, 0.1, 0.2, 0.3],
            "run": [True, True, False, True] + [False] * 3,
        }
    )
    table = shown_table(chosen, ["Guess", "Others"], group, measures).set_index(
        ["class", "measure"]
    )
    assert table.loc[("Guess", "rouge_l"), "value"] == 0.5
    assert table.loc[("Guess", "run"), "value"] == 0.75
    assert table.loc[("Guess", "run"), ["n", "groups"]].tolist() == [4, 3]
    never = table.loc[("Others", "run")]
    assert never["value"] == never["value_low"] == 0 and never["value_high"] > 0.4
    assert (table["value_low"] <= table["value"]).all()


@pytest.mark.parametrize("shown", ["own", "true"])
def test_the_text_that_is_shown_is_described(tmp_path: Path, shown: str) -> None:
    """Sample 1 is not memorized: its own continuation repeats one token, its true text a drilled
    window.
    """
    prefix = 4
    rows = {
        0: ([*[9] * 4, *RUN_TEXT], 0),
        1: ([*[8] * 4, *RUN_TEXT], 0),
        2: ([*RUN_TEXT, 1, 2, 3, 4], 16),
        3: (list(range(24)), 0),
    }
    candidates = pd.DataFrame(
        {
            "sequence_id": list(rows),
            "tokens": [tokens for tokens, _ in rows.values()],
            "exposures": [exposures for _, exposures in rows.values()],
        }
    )
    samples = pd.DataFrame({"sequence_id": [1, 3], "class": ["Non-Memo", "Others"], "lists": 1})
    own = pd.DataFrame({"sequence_id": [1], "tokens": [[8] * 4 + [7] * 20]})
    paths = [tmp_path / f"{name}.parquet" for name in ("samples", "candidates", "continuations")]
    for table, path in zip((samples, candidates, own), paths, strict=True):
        metadata = {"shown": shown} if shown != "own" and table is own else {}
        write_parquet(table, path, metadata)
    texts = described_texts(*paths, prefix)
    assert texts.index.tolist() == [1, 3]
    true = shown == "true"
    assert texts.loc[1, "distinct_suffix"] == (20 if true else 1)
    assert texts.loc[1, "run_of_drilled_window"] == true
    assert texts.loc[1, "run_of_other_window"] == true  # window 0 has the suffix too
    assert not texts.loc[3, ["run_of_drilled_window", "run_of_other_window"]].any()

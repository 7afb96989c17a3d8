"""Risks of groups, with small ones suppressed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from engram.auditing.groups import group_tables
from engram.scores.bootstrap import wilson_interval


@pytest.fixture
def summary() -> pd.DataFrame:
    """Of ward A 12 of 20 documents are reproduced, of B 1 of 20, of C 2 of 3, of D 3 of 15."""
    rows = []
    for ward, count, hits in (("A", 20, 12), ("B", 20, 1), ("C", 3, 2), ("D", 15, 3)):
        for i in range(count):
            extracted = 5 if i < hits else 0
            row = {"document": f"{ward}{i}", "windows": 10, "extracted": extracted}
            rows.append({**row, "regions": int(i < hits)})
    rows.append({"document": "A-short", "windows": 0, "extracted": 0, "regions": 0})
    rows.append({"document": "unknown", "windows": 10, "extracted": 10, "regions": 1})
    return pd.DataFrame(rows)


@pytest.fixture
def groups(summary: pd.DataFrame) -> pd.Series:
    return pd.Series({name: name[0] for name in summary["document"] if name != "unknown"})


def test_a_group_has_its_rate_with_wilsons_interval(summary, groups) -> None:
    risk = group_tables(summary, groups, 10, 0.95)[0].set_index("group")
    assert risk.index.tolist() == ["A", "B", "C", "D"]
    row = risk.loc["A"]
    assert (row["documents"], row["with_regions"], row["rate"]) == (20, 12, 0.6)
    assert (row["rate_low"], row["rate_high"]) == wilson_interval(0.6, 20, 0.95)[1:]
    assert row["share_extracted"] == 0.3 and row["share_extracted_low"] < 0.3


def test_nothing_is_said_of_a_small_group(summary, groups) -> None:
    risk, differences = group_tables(summary, groups, 10, 0.95)
    small = risk.set_index("group").loc["C"]
    assert small["suppressed"] and small.drop("suppressed").isna().all()
    assert differences["group"].tolist() == ["A", "B", "D"]
    assert (differences["documents"] + differences["other_documents"] == 55).all()  # without C
    assert not group_tables(summary, groups, 3, 0.95)[0]["suppressed"].any()


def test_differences_are_corrected_for_their_number(summary, groups) -> None:
    _, differences = group_tables(summary, groups, 10, 0.95)
    rows = differences.set_index("group")
    assert rows.loc["A", "difference"] == pytest.approx(12 / 20 - 4 / 35)
    assert rows.loc["A", "p_holm"] == pytest.approx(3 * rows.loc["A", "p"])
    assert rows.loc["A", "p_holm"] < 0.01 < rows.loc["D", "p_holm"]
    assert (rows["p_holm"] >= rows["p"]).all()
    assert rows.loc["A", "difference_low"] > 0 > rows.loc["B", "difference_high"]


def test_one_group_has_no_difference(summary) -> None:
    only = pd.Series(dict.fromkeys(summary["document"], "all"))
    risk, differences = group_tables(summary, only, 10, 0.95)
    assert len(risk) == 1 and differences.empty and np.isfinite(risk["rate"]).all()

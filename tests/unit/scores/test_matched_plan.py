"""The plan of the matched comparison quotes its simulation."""

from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[3]
VERDICTS = ["equivalent", "different", "inconclusive"]


def test_the_plan_quotes_the_simulation() -> None:
    power = pd.read_csv(ROOT / "perf" / "matched_power.csv")
    plan = (ROOT / "docs" / "plans" / "2026-11-matched.md").read_text(encoding="utf-8")
    for pairs, rows in power.groupby("pairs"):
        cells = [
            " / ".join(f"{100 * share:.0f}" for share in row)
            for row in rows.sort_values("difference")[VERDICTS].to_numpy()
        ]
        assert f"| {pairs:,} | {' | '.join(cells)} |" in plan
    assert f"Percent of {power['studies'].iloc[0]} studies" in plan


def test_the_level_of_the_test_is_kept() -> None:
    power = pd.read_csv(ROOT / "perf" / "matched_power.csv")
    assert power.loc[power["difference"] >= 0.05, "equivalent"].max() <= 0.05

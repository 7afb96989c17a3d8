"""LaTeX tables: booktabs, escaped, percent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from engram.scores.latex import escape, percent, write_tables


def test_what_latex_reads_is_escaped() -> None:
    assert escape("a_b & 5 %") == r"a\_b \& 5 \%"


def test_fractions_are_percent_with_one_decimal() -> None:
    assert percent(0.8901) == "89.0"
    assert percent(0.5, 0.4, 0.61) == r"50.0 {\scriptsize [40.0, 61.0]}"
    assert percent(np.nan) == "--"


def test_a_tabular_per_group(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "models": ["a", "a", "b"],
            "taxonomy": ["x_1", "y", "x_1"],
            "min_f1": [0.5, 0.25, 0.125],
            "min_f1_low": 0.1,
            "min_f1_high": 0.9,
        }
    )
    write_tables(table, tmp_path / "t.tex", ["taxonomy"], ["min_f1"], ["models"])
    text = (tmp_path / "t.tex").read_text()
    assert text.count(r"\begin{tabular}{lr}") == text.count(r"\bottomrule") == 2
    assert r"x\_1 & 50.0 {\scriptsize [10.0, 90.0]} \\" in text

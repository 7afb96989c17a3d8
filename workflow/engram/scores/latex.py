"""LaTeX tables for a paper: booktabs, scores in percent with their intervals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from engram.io.artifacts import whole

_ESCAPED = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "$": r"\$",
    "{": r"\{",
    "}": r"\}",
}


def escape(text: str) -> str:
    """Return a text with LaTeX's special characters escaped."""
    return re.sub(r"[\\&%_#${}]", lambda match: _ESCAPED[match[0]], text)


def percent(value: float, low: float | None = None, high: float | None = None) -> str:
    """Return a fraction in percent with one decimal, followed by its interval in small print; a
    dash for a missing value.
    """
    if pd.isna(value):
        return "--"
    text = f"{100 * value:.1f}"
    return (
        text
        if low is None or high is None
        else rf"{text} {{\scriptsize [{100 * low:.1f}, {100 * high:.1f}]}}"
    )


def tabular(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a booktabs tabular whose first `left` columns are left-aligned, the others
    right-aligned.
    """
    columns = "l" * left + "r" * (len(head) - left)
    lines = [" & ".join(row) + r" \\" for row in rows]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def write_tables(
    table: pd.DataFrame,
    path: str | Path,
    first: Sequence[str],
    scores: Sequence[str],
    by: Sequence[str],
) -> None:
    """Write one tabular for every value of the columns `by`, each under a comment that names it.

    Args:
        table: `<score>` as fractions, with `<score>_low` and `<score>_high` where there are
            intervals.
        path: of the .tex file; it needs the package booktabs.
        first: columns of text.
        scores: columns of fractions.
        by: columns that divide the table.
    """
    blocks = ["% Needs \\usepackage{booktabs}. Scores in percent, intervals in brackets."]
    head = [escape(name.replace("_", " ")) for name in (*first, *scores)]
    for key, part in table.groupby(list(by), sort=False):
        rows = []
        for row in part.to_dict("records"):
            values = [
                percent(row[name], row.get(f"{name}_low"), row.get(f"{name}_high"))
                for name in scores
            ]
            rows.append([escape(str(row[name])) for name in first] + values)
        blocks += [
            "% " + ", ".join(f"{name} {value}" for name, value in zip(by, key, strict=True)),
            tabular(head, rows, len(first)),
        ]
    with whole(path) as temporary:
        temporary.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")

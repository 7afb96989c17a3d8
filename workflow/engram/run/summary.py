"""`python -m engram summary results/<study>`: the headline table of a finished study, and where
its report lies.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from engram.io.errors import EngramError

METRICS = ("balanced_accuracy", "min_f1", "mean_f1")


def headline_text(scores: pd.DataFrame) -> str:
    """Return the scores of every taxonomy, run by run, as lines of text; values with their
    intervals.
    """
    lines = [
        f"{'taxonomy':<44} {'CNNs see':<15} {'labels':<9}"
        + "".join(f"{m.replace('_', ' '):>24}" for m in METRICS)
        + f"{'n':>7}"
    ]
    for _, row in scores.iterrows():
        run = f"{row['taxonomy']:<44} {row['input'].replace('_', ' '):<15} {row['labels']:<9}"
        if row["n"] == 0:
            lines.append(f"{run}  all {row['diverged']} CNNs diverged")
            continue
        cells = (f"{row[m]:.3f} [{row[f'{m}_low']:.3f}, {row[f'{m}_high']:.3f}]" for m in METRICS)
        lines.append(run + "".join(f"{cell:>24}" for cell in cells) + f"{row['n']:>7}")
    return "\n".join(lines)


def command(results: Path) -> None:
    """Print the headline table of a study.

    Raises:
        EngramError: the study has no scores.
    """
    scores = results / "tables" / "scores.csv"
    if not scores.is_file():
        raise EngramError(f"{scores}: no such file; give the folder of a finished study")
    print(f"\n{headline_text(pd.read_csv(scores))}")
    print(f"\nTest split, intervals over content groups. The report: {results / 'report.html'}")

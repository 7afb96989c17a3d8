"""`python -m engram summary results/<study>`: the headline table of a finished study, and where
its pages are.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pandas as pd

from engram.crossed.findings import sentences
from engram.io.errors import EngramError

MOST = 20
"""Documents of an audit that are shown."""
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


def crossed_text(scores: pd.DataFrame) -> str:
    """Return how often the exposed model of a crossed pair is named correctly, as text: the main
    result in two sentences; all inputs on all kinds of text, by assigned dose, with intervals over
    clusters.
    """
    shown = scores[(scores["selection"] == "assigned") & (scores["dose"] == 0)]
    scope = "all" if "all" in set(shown["trained_on"]) else shown["trained_on"].iloc[0]
    shown = shown[(shown["trained_on"] == scope) & shown["pair"].isin(["all pairs", "all bases"])]
    lines = [
        *textwrap.wrap(sentences(scores), 100),
        "",
        f"{'which model was shown it?':<26} {'text':<10} {'over':<10} {'accuracy':>22} {'p':>8}",
    ]
    for _, row in shown.iterrows():
        value = f"{row['accuracy']:.3f} [{row['accuracy_low']:.3f}, {row['accuracy_high']:.3f}]"
        name = row["input"].replace("_", " ")
        lines.append(
            f"{name:<26} {row['tested_on']:<10} {row['pair'].removeprefix('all '):<10} {value:>22} "
            f"{row['p']:>8.3g}"
        )
    return "\n".join(lines)


def pages_text(results: Path) -> str:
    """Return where the report is, and the pages of single texts that the study has, a line each."""
    explorers = {
        "Single samples": results / "explorer.html",
        "Single windows of the pairs": results / "explorer_pairs.html",
    }
    lines = [f"{name}: {path}" for name, path in explorers.items() if path.is_file()]
    return "\n".join([f"The report: {results / 'report.html'}", *lines])


def audit_text(documents: pd.DataFrame) -> str:
    """Return the documents of an audit of which most is reproduced, as text: the shares of their
    scored tokens in regions of the class Guess and in others.
    """
    guessed = documents.get("tokens_Guess", pd.Series(0, index=documents.index))
    shares = documents.assign(
        guessed=guessed / documents["scored_tokens"],
        recalled=(documents["region_tokens"] - guessed) / documents["scored_tokens"],
    ).sort_values(["recalled", "guessed"], ascending=False)
    wide = max(5, documents["model"].map(len).max())
    head = f"{'model':<{wide}} {'document':<40} {'windows':>9} {'reproduced':>11} {'guessed':>9}"
    lines = [f"{head} {'regions':>8} {'longest':>8}"]
    for _, row in shares.head(MOST).iterrows():
        name = str(row["document"])
        of_text = (
            ("too short", "")
            if row["windows"] == 0
            else (
                f"{row['recalled']:.1%}",
                f"{row['guessed']:.1%}",
            )
        )
        lines.append(
            f"{row['model']:<{wide}} {name if len(name) <= 40 else f'…{name[-39:]}':<40} "
            f"{row['windows']:>9,} {of_text[0]:>11} {of_text[1]:>9} {row['regions']:>8,} "
            f"{row['longest_region']:>8,}"
        )
    if (rest := len(shares) - MOST) > 0:
        lines.append(f"and {rest:,} more")
    return "\n".join(lines)


def command(results: Path) -> None:
    """Print the headline tables of a study: of its audit, of its crossed pairs, of its taxonomies.

    Raises:
        EngramError: the study has no scores.
    """
    scores, crossed = (results / "tables" / f"{name}.csv" for name in ("scores", "crossed_scores"))
    audit = results / "tables" / "audit_documents.csv"
    if audit.is_file():
        print(f"\n{audit_text(pd.read_csv(audit))}")
        print(
            f"\nShares of the scored tokens in regions that the model reproduces; guessed: of the "
            f"class Guess. The page: {results / 'audit.html'}"
        )
        if not scores.is_file() and not crossed.is_file():
            return
    if crossed.is_file():
        print(f"\n{crossed_text(pd.read_csv(crossed))}")
        print(
            "\nTest windows by assigned dose; chance is .500. Intervals over clusters of windows."
        )
    if scores.is_file():
        print(f"\n{headline_text(pd.read_csv(scores))}")
        print("\nTest split, intervals over content groups.")
    elif not crossed.is_file():
        raise EngramError(f"{scores}: no such file; give the folder of a finished study")
    print(pages_text(results))

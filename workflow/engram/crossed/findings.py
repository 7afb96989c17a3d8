"""What a crossed study found, in two sentences."""

from __future__ import annotations

import base64
import textwrap

import pandas as pd

from engram.crossed.pair import ASSIGNED
from engram.crossed.tables import ALL_PAIRS

SCORERS = {"cnn_attention_mean": "the paper's CNN", "attention_mean": "a linear scorer"}
"""Who is shown attention; the first that the study has is quoted, whatever it reaches."""
TEXTS = {"natural": "natural windows", "all": "windows"}
_MIME = {"svg": "image/svg+xml", "png": "image/png"}


def sentences(scores: pd.DataFrame) -> str:
    """Return the main result of a crossed study: how often the exposed model is named from both
    models' attention, and what that means.

    Args:
        scores: `crossed_scores.csv`.

    Returns:
        two sentences; empty if no scorer was shown attention, or none was tested on natural text or
        on all.
    """
    rows = scores[(scores["selection"] == ASSIGNED) & (scores["dose"] == 0)]
    rows = rows[rows["pair"] == ALL_PAIRS]
    inputs, tested = set(rows["input"]), set(rows["tested_on"])
    name = next((name for name in SCORERS if name in inputs), None)
    text = next((text for text in TEXTS if text in tested), None)
    if name is None or text is None:
        return ""
    rows = rows[(rows["input"] == name) & (rows["tested_on"] == text)]
    scope = "all" if "all" in set(rows["trained_on"]) else rows["trained_on"].iloc[0]
    row = rows[rows["trained_on"] == scope].iloc[0]
    accuracy, low, high, chance = (
        f"{100 * row[column]:.0f}"
        for column in ("accuracy", "accuracy_low", "accuracy_high", "null_95")
    )
    pairs = f" of {row['pairs']:.0f} pairs" if row["pairs"] > 1 else ""
    meaning = (
        "So being shown a text leaves a trace in a model's attention, and the text cannot be the "
        "reason: both copies read the same one."
        if row["accuracy"] > row["null_95"]
        else "So attention shows no trace of which texts a model was shown."
    )
    return (
        "Two copies of a model were each shown a random half of the same texts; from the attention "
        f"of both on a text from new documents, {SCORERS[name]} names the copy that was shown it "
        f"in {accuracy} % [{low}, {high}] of {row['windows']:,} {TEXTS[text]}{pairs}, where "
        f"guessing is right in 50 % and 95 % of redraws of the halves give at most {chance} %. "
        f"{meaning}"
    )


def opening(scores: pd.DataFrame, figure: bytes, kind: str) -> str:
    """Return what opens the report, as reStructuredText: `sentences` and the figure of the scores.

    Args:
        scores: `crossed_scores.csv`.
        figure: the file of the figure.
        kind: its format, `svg` or `png`; other formats are left out.
    """
    found = f"**{sentences(scores)}**\n"
    if kind in _MIME:
        lines = textwrap.wrap(base64.b64encode(figure).decode(), 1000)
        found += f"\n.. image:: data:{_MIME[kind]};base64,\n"
        found += "".join(f"      {line}\n" for line in lines)
        found += "   :alt: How often the exposed model is named, by input and kind of text\n"
        found += "   :width: 100%\n"
    return found

"""The published taxonomies, and labels whose classes are known."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"

with (PUBLISHED / "taxonomy_scores.csv").open(encoding="utf-8") as file:
    PUBLISHED_NAMES = sorted({row["taxonomy"] for row in csv.DictReader(file)})

EXAMPLES = pd.DataFrame(
    [
        # memorization_score, sequence_duplicates, is_repeating, is_incrementing, rouge_l, rouge_3,
        # is_code
        (31 / 32, 100, True, True, 1.0, 1.0, True),
        (1.0, 5, True, False, 0.0, 0.0, False),
        (1.0, 6, False, True, 0.0, 0.0, False),
        (1.0, 6, False, False, 0.5, 0.0, True),
        (1.0, 5, False, False, 0.0, 0.5, False),
        (1.0, 5, False, False, 0.49, 0.49, True),
        (1.0, 6, False, False, 0.49, 0.49, False),
    ],
    columns=[
        "memorization_score",
        "sequence_duplicates",
        "is_repeating",
        "is_incrementing",
        "rouge_l",
        "rouge_3",
        "is_code",
    ],
    index=[70, 60, 50, 40, 30, 20, 10],
)

"""Entropy of representations step by step, as means over windows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import t

SHOWN, UNSHOWN = "shown", "never shown"
"""Windows that are measured in the course of a training."""
VALUES = ("entropy", "suffix_entropy")
"""What is measured of each."""


def entropy_by_step(course: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Return means over windows at every step and depth.

    Args:
        course: of `engram.mechanisms.entropy_course.EntropyCourse.table`.
        confidence: nominal coverage of the intervals over windows, by Student's t.

    Returns:
        windows (`shown`, `never shown`), step, depth, n; entropy and suffix_entropy in nats, with
        `_low` and `_high`.
    """
    kind = pd.Series(
        np.where(course["exposures"] > 0, SHOWN, UNSHOWN), course.index, name="windows"
    )
    of_rows = course.groupby([kind, "step", "depth"])[list(VALUES)]
    mean, spread, n = of_rows.mean(), of_rows.std(), of_rows.size()
    half = spread.div(np.sqrt(n), axis=0).mul(
        t.ppf((1 + confidence) / 2, np.maximum(n - 1, 1)), axis=0
    )
    table = pd.DataFrame({"n": n})
    for value in VALUES:
        table[value] = mean[value]
        table[f"{value}_low"], table[f"{value}_high"] = (
            mean[value] - half[value],
            mean[value] + half[value],
        )
    return table.reset_index()

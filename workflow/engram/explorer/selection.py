"""Which samples the explorer shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

CLASS = ("protocol", "taxonomy", "class")
"""Columns that name a class of a taxonomy."""


def share(samples: int, models: Sequence[str]) -> dict[str, int]:
    """Return the number of samples of each model (or pair): equal shares, at least one each; the
    first get the remainder.
    """
    each, rest = divmod(samples, len(models))
    return {name: max(1, each + (position < rest)) for position, name in enumerate(models)}


def choose_samples(held_out: pd.DataFrame, number: int, by: Sequence[str] = CLASS) -> np.ndarray:
    """Return the samples of one model: every class of every taxonomy and protocol gets the same
    number, those of the lowest priority.

    Taxonomies share sequences, so that one sequence counts for every class that it is in: round
    after round, each class that has fewer samples than rounds takes its next one. A class that runs
    out leaves its turn to the others.

    Args:
        held_out: samples of the test splits: the columns of `by`, sequence_id, priority.
        number: most sequences.
        by: columns that name a class.

    Returns:
        sequence_id int64, in the order in which they were taken; the same for the same arguments.
    """
    lists = [
        mine.sort_values(["priority", "sequence_id"])["sequence_id"].to_numpy()
        for _, mine in held_out.groupby(list(by), sort=False, observed=True)
    ]
    chosen: dict[int, None] = {}
    for rounds in range(1, max(map(len, lists), default=0) + 1):
        for ids in lists:
            taken = sum(int(sequence) in chosen for sequence in ids)
            if taken >= rounds:
                continue
            if len(chosen) == number:
                return np.fromiter(chosen, np.int64)
            following = next(
                (int(sequence) for sequence in ids if int(sequence) not in chosen), None
            )
            if following is not None:
                chosen[following] = None
    return np.fromiter(chosen, np.int64, len(chosen))

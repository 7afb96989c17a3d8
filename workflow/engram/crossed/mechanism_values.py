"""Values that were measured inside both models of a pair: their names, and what the paired scorer
is shown of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

VALUE_KEY = ("measure", "value", "alpha", "depth")
"""Columns that name a value: of noise its strength α, of a value per depth the depth; else NaN."""
RIVAL = "rival"
"""The measure of REMIND's rivals, which read the text alone."""


def read_values(table: pd.DataFrame, sequence_ids: np.ndarray) -> pd.DataFrame:
    """Return the table of `engram.crossed.measured_mechanisms.measure_windows` with a row per
    window, in a given order, and a column per value, named by the columns of `VALUE_KEY`.
    """
    wide = {
        key: own.set_index("sequence_id")["number"].loc[sequence_ids].to_numpy(np.float64)
        for key, own in table.groupby(list(VALUE_KEY), sort=False, dropna=False)
    }
    return pd.DataFrame(
        np.stack([*wide.values()], axis=1),
        columns=pd.MultiIndex.from_tuples([*wide], names=VALUE_KEY),
        index=sequence_ids,
    )


def inputs_of(first: pd.DataFrame, second: pd.DataFrame) -> Mapping[str, np.ndarray]:
    """Return the inputs of the paired scorer, model 1 − model 2, (n, F) float32 each by name: all
    values of a measure together, and each of REMIND's rivals by itself, the loss among them.

    Args:
        first: values of model 1, as `read_values` gives them.
        second: values of model 2, likewise.
    """
    difference = (first.to_numpy() - second.to_numpy()).astype(np.float32)
    measure, value = (first.columns.get_level_values(name) for name in ("measure", "value"))
    inputs = {
        str(name): difference[:, measure == name]
        for name in dict.fromkeys(measure)
        if name != RIVAL
    }
    alone = (measure == RIVAL) | ((measure == "remind") & (value == "loss"))
    return inputs | {
        str(value[own]): difference[:, [own]] for own in map(int, np.flatnonzero(alone))
    }

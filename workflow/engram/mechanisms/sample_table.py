"""Tables with a row per sample, of what a study's stages measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from engram.knockout.experiment import Samples


def class_names(samples: Samples, classes: Sequence[str]) -> np.ndarray:
    """Return the class of every sample by name, (n,)."""
    return np.array(classes, object)[samples.label]


def sample_table(
    samples: Samples,
    classes: Sequence[str],
    keys: Mapping[str, tuple[Any, ...]],
    values: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """Return a row per sample and combination of keys.

    Args:
        samples: that were measured.
        classes: the K class names.
        keys: names and values of the axes of the measures after the first.
        values: measures, (n, *axes) each.

    Returns:
        sequence_id, class, the keys, the values.
    """
    combinations = pd.DataFrame([*product(*keys.values())], columns=[*keys])
    n, each = len(samples.tokens), len(combinations)
    table = {
        "sequence_id": np.repeat(samples.sequence_id, each),
        "class": np.repeat(class_names(samples, classes), each),
    }
    table |= {name: np.tile(combinations[name].to_numpy(), n) for name in keys}
    return pd.DataFrame(table | {name: value.reshape(-1) for name, value in values.items()})

"""Which samples are knocked out: held-out ones, whose suffix the model writes itself when nothing
is removed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engram.cnn.assembly import usable_samples
from engram.io.artifacts import read_parquet
from engram.io.streams import read_selected
from engram.knockout.experiment import Samples, choose
from engram.taxonomy.pool import pool, read_shown
from engram.taxonomy.protocols import Protocol


def chosen_samples(
    files: Any, classes: list[str], protocol: Protocol, per_class: int
) -> tuple[Samples, Samples]:
    """Return the test samples, and those that units are ranked on: of the validation split, or of
    the training split where there is none.

    Args:
        files: paths `samples`, `verification`, `labels`, `candidates`, `continuations`.
        classes: the K class names.
        protocol: says whether samples that the model fails to reproduce are dropped.
        per_class: most samples of a class in each of the two.
    """
    listed = usable_samples(
        read_parquet(files.samples), read_parquet(files.verification), protocol.drop_unverified
    )
    label = pd.Categorical(listed["class"], categories=classes).codes
    split, priority = listed["split"].to_numpy(dtype=object), listed["priority"].to_numpy()
    other = "validation" if (split == "validation").any() else "train"
    test, ranking = (
        listed.iloc[choose(split, label, priority, which, per_class)] for which in ("test", other)
    )
    both = pd.concat([test, ranking])
    candidates = read_selected(
        files.candidates, both["sequence_id"].to_numpy(), ["sequence_id", "tokens"]
    )
    continuations, shown = read_parquet(files.continuations), read_shown(files.continuations)
    texts = pool(both, candidates, continuations, shown).set_index("sequence_id")["tokens"]
    groups = read_parquet(files.labels, ["sequence_id", "content_group"]).set_index("sequence_id")[
        "content_group"
    ]
    first, second = (_samples(rows, classes, texts, groups) for rows in (test, ranking))
    return first, second


def _samples(
    rows: pd.DataFrame, classes: list[str], texts: pd.Series, groups: pd.Series
) -> Samples:
    ids = rows["sequence_id"].to_numpy()
    return Samples(
        sequence_id=ids,
        content_group=groups.loc[ids].to_numpy(),
        label=pd.Categorical(rows["class"], categories=classes).codes.astype(np.int64),
        tokens=np.array(texts.loc[ids].tolist(), dtype=np.int64).reshape(len(ids), -1),
    )

"""Which samples are knocked out: held-out ones, whose suffix the model writes itself when nothing
is removed.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    test, ranking = split_samples(files, classes, protocol, per_class, ("test", "validation"))
    return test, ranking


def split_samples(
    files: Any, classes: list[str], protocol: Protocol, per_class: int, splits: Sequence[str]
) -> list[Samples]:
    """Return the samples of several splits; of the training split in place of a validation split
    that is empty.

    Args:
        files: as in `chosen_samples`.
        classes: the K class names.
        protocol: as in `chosen_samples`.
        per_class: most samples of a class in each split.
        splits: their names.
    """
    listed = usable_samples(
        read_parquet(files.samples), read_parquet(files.verification), protocol.drop_unverified
    )
    label = pd.Categorical(listed["class"], categories=classes).codes
    split, priority = listed["split"].to_numpy(dtype=object), listed["priority"].to_numpy()
    validated = (split == "validation").any()
    names = ["train" if name == "validation" and not validated else name for name in splits]
    chosen = [listed.iloc[choose(split, label, priority, name, per_class)] for name in names]
    together = pd.concat(chosen).drop_duplicates("sequence_id")
    candidates = read_selected(
        files.candidates, together["sequence_id"].to_numpy(), ["sequence_id", "tokens"]
    )
    continuations, shown = read_parquet(files.continuations), read_shown(files.continuations)
    texts = pool(together, candidates, continuations, shown).set_index("sequence_id")["tokens"]
    groups = read_parquet(files.labels, ["sequence_id", "content_group"]).set_index("sequence_id")[
        "content_group"
    ]
    return [_samples(rows, classes, texts, groups) for rows in chosen]


def unmemorized_texts(files: Any, count: int, seed: int) -> np.ndarray:
    """Return texts outside all samples of the taxonomy that the model has not memorized, drawn at
    random from the candidates: their true tokens, (m, T), m at most `count`. Where labels count
    exposures, as in the nursery, only texts that were never shown are drawn.

    Args:
        files: paths `samples`, `labels`, `candidates`.
        count: most texts.
        seed: of the draw.
    """
    labels = read_parquet(files.labels)
    listed = read_parquet(files.samples)["sequence_id"]
    free = (labels["memorization_score"] < 1) & ~labels["sequence_id"].isin(listed)
    if "exposures" in labels:
        free &= labels["exposures"] == 0
    chosen = np.array(labels.loc[free, "sequence_id"], np.int64)
    drawn = np.random.default_rng(seed).permutation(chosen)[:count]
    candidates = read_selected(files.candidates, drawn, ["sequence_id", "tokens"])
    tokens = candidates.set_index("sequence_id")["tokens"].loc[drawn]
    window = len(tokens.iloc[0]) if len(tokens) else 0
    return np.array(tokens.tolist(), dtype=np.int64).reshape(len(drawn), window)


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

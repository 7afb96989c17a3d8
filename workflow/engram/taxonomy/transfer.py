"""Sample lists of a transfer between two kinds of windows: those that train are of one kind, those
that test of both.

The two lists of a pair, one per direction, have the same test samples: what is trained on one kind
is compared with what is trained on the other on the same texts. The kinds are equally large, so
that neither is learned better for being more frequent."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from engram.io.errors import EngramError
from engram.taxonomy.expressions import evaluate
from engram.taxonomy.sampling import draw_samples
from engram.taxonomy.settings import DrawSettings
from engram.taxonomy.taxonomy import Taxonomy
from engram.taxonomy.transfer_settings import TransferKind

AT_HOME, ELSEWHERE = "at_home", "elsewhere"
"""Columns of the list: whether a sample is of the kind that trains, and of the other one."""


def draw_transfer(
    labels: pd.DataFrame,
    taxonomy: Taxonomy,
    settings: DrawSettings,
    kinds: TransferKind,
    seed: int,
) -> pd.DataFrame:
    """Return the sample list of one taxonomy for classifiers of one kind.

    Args:
        labels: as of `engram.taxonomy.sampling.draw_samples`, and what the predicates read.
        taxonomy: its classes are balanced within each kind, and equally large in both.
        settings: sizes and shares of each kind.
        kinds: the kinds; `classes` by the names of this taxonomy.
        seed: the study's.

    Returns:
        sequence_id, class, split, priority; at_home and elsewhere, bool: whether the sample is of
        the kind that trains, and of the other one. Of the latter alone there are test samples
        only. By class, and priority within each kind.

    Raises:
        EngramError: a predicate reads a column that is missing, a window is of both kinds, a class
            has too few samples of a kind, or none in one of the splits.
    """
    values = {str(name): labels[name].to_numpy() for name in labels}
    codes = taxonomy.codes(labels)
    chosen = kinds.classes or tuple(taxonomy.class_names)
    divided = np.isin(codes, [taxonomy.class_names.index(name) for name in chosen])
    inside = {}
    for predicate in (kinds.train, kinds.test):
        try:
            inside[predicate] = evaluate(predicate, values)
        except EngramError as error:
            raise EngramError(f"transfer.kinds: {kinds.name}: {error}") from None
    both = divided & inside[kinds.train] & inside[kinds.test]
    if both.any():
        raise EngramError(
            f"transfer.kinds: {kinds.name}: {both.sum():,} windows are both `{kinds.train}` and "
            f"`{kinds.test}`; name kinds that exclude each other"
        )
    rows = {name: labels[of_kind | ~divided] for name, of_kind in inside.items()}
    drawn = _drawn(rows, taxonomy, settings, kinds, seed)
    sizes = [len(part) // len(taxonomy.classes) for part in drawn.values()]
    if min(sizes) < max(sizes):
        drawn = _drawn(rows, taxonomy, settings.replace(per_class=min(sizes)), kinds, seed)
    home, other = drawn[kinds.train], drawn[kinds.test]
    other = other[other["split"] == "test"]
    listed = pd.concat([home, other]).drop_duplicates("sequence_id")
    listed = listed.assign(
        **{
            AT_HOME: listed["sequence_id"].isin(home["sequence_id"]),
            ELSEWHERE: listed["sequence_id"].isin(other["sequence_id"]),
        }
    )
    parts = [listed[listed["class"] == name] for name in taxonomy.class_names]
    return pd.concat(parts, ignore_index=True).astype({"class": "string"})


def _drawn(
    kinds_of: Mapping[str, pd.DataFrame],
    taxonomy: Taxonomy,
    settings: DrawSettings,
    kinds: TransferKind,
    seed: int,
) -> dict[str, pd.DataFrame]:
    """Return the samples of each kind with their splits.

    Raises:
        EngramError: a class has too few of a kind, or none in one of the splits.
    """
    drawn = {}
    for predicate, labels in kinds_of.items():
        try:
            drawn[predicate] = draw_samples(labels, taxonomy, settings, seed)
        except EngramError as error:
            raise EngramError(f"transfer.kinds: {kinds.name}: `{predicate}`: {error}") from None
    return drawn

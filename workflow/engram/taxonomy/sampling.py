"""Coordinated sampling: every sequence has one permanent random number, each class takes its lowest
N.

A class is a uniform draw of its candidates, a larger draw contains the smaller one, and taxonomies
share sequences as far as their classes overlap, so that few sequences go through the language model
(permanent random numbers: Ohlsson, Coordination of samples using permanent random numbers, 1995).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from engram.io.errors import EngramError
from engram.io.hashing import uniform
from engram.taxonomy.settings import DrawSettings
from engram.taxonomy.taxonomy import Taxonomy

SPLITS = ("train", "validation", "test")


def draw_samples(
    labels: pd.DataFrame, taxonomy: Taxonomy, settings: DrawSettings, seed: int
) -> pd.DataFrame:
    """The sample list of one taxonomy.

    Args:
        labels: sequence_id, content_group and the columns that the taxonomy reads.
        taxonomy: its classes are balanced to the smallest one, at most `settings.per_class` each.
        settings: sizes and splits.
        seed: the study's seed.

    Returns:
        taxonomy (slug), sequence_id, class, split, priority; sorted by class (in the taxonomy's
        order) and priority.

    Raises:
        EngramError: a class has fewer than `settings.minimum` candidates (lists every class with
            its count), or no sample in one of the splits.
    """
    codes = taxonomy.codes(labels)
    counts = class_counts(codes, taxonomy)
    size = min(settings.per_class, *counts.values())
    if size < settings.minimum:
        found = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        raise EngramError(
            f"taxonomy `{taxonomy.name}`: a class has fewer candidates than `samples.minimum`, "
            f"{settings.minimum:,} ({found}); "
            "lower `samples.minimum`, take more candidates, or drop the taxonomy"
        )
    parts = []
    for code, name in enumerate(taxonomy.class_names):
        members = np.flatnonzero(codes == code)
        priority = uniform(labels["sequence_id"].to_numpy()[members], seed, "priority")
        lowest = np.argpartition(priority, size - 1)[:size]
        lowest = lowest[np.argsort(priority[lowest])]
        rows = labels.iloc[members[lowest]]
        columns = {
            "sequence_id": rows["sequence_id"],
            "class": name,
            "split": splits(rows, settings, seed),
            "priority": priority[lowest],
        }
        parts.append(pd.DataFrame({"taxonomy": taxonomy.slug, **columns}))
    drawn = pd.concat(parts, ignore_index=True).astype({"class": "string"})
    shares = (settings.train, settings.validation, 1 - settings.train - settings.validation)
    used = [split for split, share in zip(SPLITS, shares, strict=True) if share > 1e-9]
    groups = drawn.groupby("class")["split"].agg(set)
    if empty := [
        f"{name} has none in {split}"
        for name in taxonomy.class_names
        for split in used
        if split not in groups[name]
    ]:
        raise EngramError(
            f"taxonomy `{taxonomy.name}`: too few samples with different text for three splits "
            f"({empty[0]}, of {size:,}); "
            "raise `samples.per_class`, take more candidates, or drop the taxonomy"
        )
    return drawn


def class_counts(codes: np.ndarray, taxonomy: Taxonomy) -> dict[str, int]:
    """Candidates per class, in the taxonomy's order, of `Taxonomy.codes`."""
    counts = np.bincount(codes[codes >= 0], minlength=len(taxonomy.classes))
    return dict(zip(taxonomy.class_names, counts.tolist(), strict=True))


def count_samples(labels: pd.DataFrame, samples: pd.DataFrame, taxonomy: Taxonomy) -> pd.DataFrame:
    """taxonomy (name), slug, class, candidates, and the samples drawn in train, validation and
    test; a row per class.
    """
    drawn = (
        samples.groupby(["class", "split"])
        .size()
        .unstack(fill_value=0)
        .reindex(columns=list(SPLITS), fill_value=0)
    )
    candidates = class_counts(taxonomy.codes(labels), taxonomy)
    rows = [
        {
            "taxonomy": taxonomy.name,
            "slug": taxonomy.slug,
            "class": name,
            "candidates": candidates[name],
            **drawn.loc[name].to_dict(),
        }
        for name in taxonomy.class_names
    ]
    return pd.DataFrame(rows)


def leakage(samples: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """How many test samples have their suffix in the training split too: what a split by sequence
    gives away.

    Args:
        samples: sample lists: taxonomy, sequence_id, class, split.
        labels: sequence_id, content_group.

    Returns:
        taxonomy (slug), class (`all` for all of them), test (samples), leaked (those whose content
        group is in train, in whatever class), share (a fraction; 0 where samples are split by
        content group).
    """
    joined = samples.merge(
        labels[["sequence_id", "content_group"]], on="sequence_id", validate="many_to_one"
    )
    rows = []
    for slug, mine in joined.groupby("taxonomy", sort=False):
        test = mine[mine["split"] == "test"]
        leaked = test["content_group"].isin(mine.loc[mine["split"] == "train", "content_group"])
        parts = [
            ("all", leaked),
            *((name, leaked[part.index]) for name, part in test.groupby("class", sort=False)),
        ]
        rows += [
            {
                "taxonomy": slug,
                "class": name,
                "test": len(part),
                "leaked": int(part.sum()),
                "share": part.mean(),
            }
            for name, part in parts
        ]
    return pd.DataFrame(rows)


def splits(labels: pd.DataFrame, settings: DrawSettings, seed: int) -> np.ndarray:
    """The split of every row, from a permanent number of its content group or sequence: the same in
    every taxonomy.
    """
    key = "content_group" if settings.split_by == "content_group" else "sequence_id"
    number = uniform(labels[key].to_numpy(), seed, "split")
    bounds = [settings.train, settings.train + settings.validation]
    return np.array(SPLITS, dtype=object)[np.searchsorted(bounds, number, side="right")]

"""Kinds of text held out: train on code, test on prose.

A classifier that recognizes a class by what is particular to one kind of text fails on another
kind. The training and validation splits hold windows of some kinds, the test split windows of
others; no content group, document or cluster (`samples.split_by`) is on both sides."""

from __future__ import annotations

import pandas as pd

from engram.io.errors import EngramError
from engram.taxonomy.sampling import drawn_classes, splits, unit_of
from engram.taxonomy.settings import DrawSettings, HeldOutSettings
from engram.taxonomy.taxonomy import Taxonomy


def draw_held_out(
    labels: pd.DataFrame,
    taxonomy: Taxonomy,
    settings: DrawSettings,
    held_out: HeldOutSettings,
    seed: int,
) -> pd.DataFrame:
    """Return the sample list of one taxonomy with a kind of text held out.

    The classes are balanced, and matched where the settings say so, within the kinds that train and
    within those that are tested. Together the sizes are those of the settings.

    Args:
        labels: as of `engram.taxonomy.sampling.draw_samples`, and `held_out.column`.
        taxonomy: its classes.
        settings: sizes and shares.
        held_out: the kinds.
        seed: the study's.

    Returns:
        as of `draw_samples`, by class, those that train first.

    Raises:
        EngramError: the column is missing, or a class has too few samples on one side.
    """
    if held_out.column not in labels:
        raise EngramError(
            f"samples.held_out: {held_out.name}: the labels have no column `{held_out.column}`; "
            f"name one that says what kind of text a window is, such as is_code or kind"
        )
    kind, unit = labels[held_out.column], unit_of(settings)
    fitted_share = settings.train + settings.validation
    train = settings.train / fitted_share
    sizes = _sized(settings, fitted_share).replace(train=train, validation=1 - train)
    rows = labels[kind.isin(held_out.train)]
    fitted = _drawn(rows, taxonomy, sizes, held_out.name, seed)
    for name, part in fitted.groupby("class", sort=False):
        if missing := {"train", "validation"} - set(part["split"]):
            raise EngramError(
                f"samples.held_out: {held_out.name}: class {name} of `{taxonomy.name}` has no "
                f"sample in {min(missing)}; raise `samples.per_class`, or take more candidates"
            )
    used = labels.loc[labels["sequence_id"].isin(fitted["sequence_id"]), unit]
    rows = labels[kind.isin(held_out.test) & ~labels[unit].isin(used)]
    sizes = _sized(settings, 1 - fitted_share)
    tested = _drawn(rows, taxonomy, sizes, held_out.name, seed).assign(split="test")
    parts = [
        part[part["class"] == name] for name in taxonomy.class_names for part in (fitted, tested)
    ]
    return pd.concat(parts, ignore_index=True).astype({"class": "string"})


def _sized(settings: DrawSettings, share: float) -> DrawSettings:
    """Return the settings for a share of the samples."""
    sizes = {
        name: max(1, round(share * size))
        for name, size in (("per_class", settings.per_class), ("minimum", settings.minimum))
    }
    return settings.replace(**sizes)


def _drawn(
    labels: pd.DataFrame, taxonomy: Taxonomy, settings: DrawSettings, name: str, seed: int
) -> pd.DataFrame:
    """Return the samples of one side, with the split that each would have in training.

    Raises:
        EngramError: a class has too few.
    """
    try:
        parts = [
            pd.DataFrame(
                {
                    "sequence_id": rows["sequence_id"],
                    "class": of_class,
                    "split": splits(rows, settings, seed),
                    "priority": priority,
                }
            )
            for of_class, rows, priority in drawn_classes(labels, taxonomy, settings, seed)
        ]
    except EngramError as error:
        raise EngramError(f"samples.held_out: {name}: {error}") from None
    return pd.concat(parts, ignore_index=True)
